using System.Text;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.ConfigFile;

/// <summary>Renders the shell that puts a file in place at once: written beside, checked, synced, renamed.</summary>
/// <param name="Path">The absolute path.</param>
public sealed record FileSwap(string Path)
{
    private string Directory => System.IO.Path.GetDirectoryName(Path) ?? "/";

    private string Base => System.IO.Path.GetFileName(Path);

    /// <summary>Shell that sets <c>$path</c> and <c>$dir</c> and removes what a run that was killed left beside the file.</summary>
    public string RenderStart() =>
        $"""
            path={Script.Quote(Path)}
            dir={Script.Quote(Directory)}
            rm -f -- "$dir"/.kbr.{Script.Quote(Base)}.??????

            """;

    /// <summary>Shell that writes the content to a new file beside, runs the check with its path in <c>$file</c>, and renames it to
    /// <c>$path</c>. To be run in a subshell after <see cref="RenderStart"/>: it leaves a trap.</summary>
    /// <param name="content">The content; travels as base64 in a here-document, so any byte survives and nothing is on a command
    /// line.</param>
    /// <param name="owner">User name or number.</param>
    /// <param name="group">Group name or number.</param>
    /// <param name="mode">Four octal digits.</param>
    /// <param name="check">A command that must succeed before the rename, or null.</param>
    public string RenderWrite(string content, string owner, string group, string mode, string? check)
    {
        var encoded = Convert
            .ToBase64String(Encoding.UTF8.GetBytes(content), Base64FormattingOptions.InsertLineBreaks)
            .Replace("\r", "", StringComparison.Ordinal);
        var script = new StringBuilder(
            $$"""
            if [ ! -d "$dir" ]; then
                echo "the directory $dir does not exist: add a directory resource for it" >&2
                exit 1
            fi
            if [ -L "$path" ] || { [ -e "$path" ] && [ ! -f "$path" ]; }; then
                echo "$path is not a regular file: move it away first" >&2
                exit 1
            fi
            umask 077
            file=$(mktemp -- "$dir/.kbr."{{Script.Quote(Base)}}.XXXXXX)
            trap 'rm -f -- "$file"' EXIT
            base64 -d > "$file" <<'KBR_CONTENT'
            {{encoded}}
            KBR_CONTENT
            chown -- {{Script.Quote(owner + ":" + group)}} "$file"
            chmod -- {{mode}} "$file"

            """
        );
        if (check is not null)
        {
            script.Append(
                $$"""
                export file
                if ! sh -c {{Script.Quote(check)}} </dev/null >&2; then
                    echo "the new content of $path did not pass its check; the file was not changed" >&2
                    exit 1
                fi

                """
            );
        }

        // A file that was renamed but not yet touched is dated ahead: should the run die there, a process started meanwhile is taken to be
        // older than the file, which costs a reload, and never to be newer, which would hide that one is missing.
        script.Append(
            """
            touch -d 'now + 1 minute' -- "$file"
            sync -- "$file"
            mv -T -- "$file" "$path"
            touch -c -- "$path"
            sync -- "$dir"

            """
        );
        return script.ToString();
    }
}
