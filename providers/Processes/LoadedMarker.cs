using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Processes;

/// <summary>A note under /run, gone with the next boot, of what content one running process instance was last seen to load: <c>SHA256
/// INSTANCE</c>.</summary>
/// <param name="Path">Where the note is.</param>
public sealed record LoadedMarker(string Path)
{
    /// <summary>Where the notes are kept.</summary>
    public const string DefaultDirectory = "/run/kbr/loaded";

    /// <summary>The value of the attribute <c>loaded</c> when the process runs with the file as it is, or does not run.</summary>
    public const string Current = "current";

    /// <summary>The value of the attribute <c>loaded</c> when the process runs with something older than the file.</summary>
    public const string Stale = "stale";

    /// <summary>The note of a resource.</summary>
    public static LoadedMarker Of(Address address, string directory) =>
        new($"{directory}/{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(address.ToString())))[..32]}");

    /// <summary>The read of the note.</summary>
    public FileRead Read => new(Path);

    /// <summary>Whether the running process has the file loaded. A note about this very instance decides; without one, a process started
    /// after the file was last written has it.</summary>
    public string Judge(ProcessInstance? process, FileStat file, FileContent content, Snapshot snapshot)
    {
        if (process is null)
        {
            return Current;
        }

        var note = snapshot.Get(Read)?.Text.TrimEnd().Split(' ');
        if (note is [var digest, var instance] && instance == process.Identity)
        {
            return digest == Convert.ToHexStringLower(SHA256.HashData(content.Bytes.Span)) ? Current : Stale;
        }

        return process.StartedAt >= file.ModifiedAt ? Current : Stale;
    }

    /// <summary>Shell that writes the note for the content of <c>$path</c>, whose digest was put into <c>$sum</c>, and the process in
    /// <c>$instance</c>.</summary>
    public string RenderWrite() =>
        $$"""
            mkdir -p -- {{Script.Quote(System.IO.Path.GetDirectoryName(Path)!)}}
            printf '%s %s\n' "$sum" "$instance" > {{Script.Quote(Path + ".new")}}
            mv -T -- {{Script.Quote(Path + ".new")}} {{Script.Quote(Path)}}

            """;

    /// <summary>Shell that removes the note.</summary>
    public string RenderRemove() => $"rm -f -- {Script.Quote(Path)} {Script.Quote(Path + ".new")}\n";
}
