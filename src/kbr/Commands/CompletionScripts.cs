namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The completion scripts. Each asks kbr itself, so a script stays right when kbr is upgraded.</summary>
internal static class CompletionScripts
{
    // The line ends at the cursor. Bash splits words at '@', ':' and '=' too, and replaces only the last part.
    private const string Bash = """
        # bash completion of kbr: source <(kbr completion bash), or save as /usr/share/bash-completion/completions/kbr
        _kbr() {
            local line=${COMP_LINE:0:COMP_POINT} word kept suggestion
            word=${line##*[[:space:]]}
            kept=${word%"${word##*[@:=]}"}
            COMPREPLY=()
            while IFS= read -r suggestion; do
                COMPREPLY+=("${suggestion#"$kept"}")
            done < <("${COMP_WORDS[0]}" "[suggest:${#line}]" "$line" 2>/dev/null)
        }
        complete -o default -F _kbr kbr
        """;

    private const string Zsh = """
        #compdef kbr
        # zsh completion of kbr: source <(kbr completion zsh), or save as _kbr in a folder of $fpath
        _kbr() {
            local line="${words[1,CURRENT-1]} $PREFIX"
            local -a suggestions
            suggestions=("${(@f)$("${words[1]}" "[suggest:${#line}]" "$line" 2>/dev/null)}")
            suggestions=(${suggestions:#})
            if (( $#suggestions )); then
                compadd -- $suggestions
            else
                _files
            fi
        }
        if [ "$funcstack[1]" = _kbr ]; then _kbr "$@"; else compdef _kbr kbr; fi
        """;

    private const string Fish = """
        # fish completion of kbr: save as ~/.config/fish/completions/kbr.fish
        function __kbr_suggest
            set -l line (commandline -cp)
            set -l suggestions (kbr "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null)
            if set -q suggestions[1]
                printf '%s\n' $suggestions
            else
                __fish_complete_path (commandline -ct)
            end
        end
        complete -c kbr -f -a '(__kbr_suggest)'
        """;

    /// <summary>The shells.</summary>
    public static IEnumerable<string> Shells => ["bash", "zsh", "fish"];

    /// <summary>The script for a shell.</summary>
    public static string Of(string shell) =>
        shell switch
        {
            "bash" => Bash,
            "zsh" => Zsh,
            "fish" => Fish,
            _ => throw new ArgumentOutOfRangeException(nameof(shell), shell, "no such shell"),
        };
}
