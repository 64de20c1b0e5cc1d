using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>The commands of kbr's scripts are installed: without curl, for example, no container could be read.</summary>
internal sealed class ToolsInstalled : PreconditionCheck
{
    /// <summary>The key of further commands.</summary>
    public const string CommandsKey = "commands";

    public override string Kind => "tools";

    public override string Description => "The commands that kbr uses on a host are installed.";

    public override PreconditionLevel Default => PreconditionLevel.Error;

    public override ImmutableArray<SectionKey> Keys =>
        [new(CommandsKey, ValueForm.Words, "Further commands that the host must have.") { Example = "[mkfs.xfs]" }];

    public override IEnumerable<DeclaredPrecondition> Read(SectionReader settings, HostTable hosts, Findings findings)
    {
        var words = settings.Words(CommandsKey, "a list of commands such as [mkfs.xfs]");
        foreach (var word in words.Where(word => !word.Value.All(IsOfName)))
        {
            findings.Error($"'{word.Value}' is not the name of a command", word.At, "letters, digits, '.', '_', '+' and '-' only");
        }

        yield return new DeclaredPrecondition(Settings, settings.Map);
        if (words.Count > 0)
        {
            yield return new DeclaredPrecondition(HostTool.Settings(words.Select(word => new HostTool(word.Value, ""))), settings.Map);
        }
    }

    public override Read Read(Precondition precondition) => Commands(precondition);

    public override Finding? Evaluate(Precondition precondition, Snapshot snapshot)
    {
        var read = Commands(precondition);
        string[] missing = [.. read.Names.Split(' ').Except(snapshot.Get(read).Names)];
        if (missing.Length == 0)
        {
            return null;
        }

        var packages = missing.Select(PackageOf).OfType<string>().Distinct().Order(StringComparer.Ordinal).ToArray();
        return new Finding(
            missing is [var only] ? $"the command {only} is not installed" : $"{missing.Length} commands are not installed",
            $"not in /usr/sbin, /usr/bin, /sbin or /bin: {string.Join(", ", missing)}",
            packages.Length == 0
                ? $"install the package with {string.Join(", ", missing)}; 'apt-file search' names it"
                : $"apt-get install -y {string.Join(' ', packages)}"
        );
    }

    // Those of its settings alone: what every host needs is a precondition of its own.
    private static CommandsRead Commands(Precondition precondition) =>
        new(precondition.Settings.OptionalString(CommandsKey) ?? string.Join(' ', HostTool.Everywhere.Select(tool => tool.Command)));

    private static string? PackageOf(string command) => HostTool.All.FirstOrDefault(tool => tool.Command == command)?.Package;

    private static bool IsOfName(char letter) => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '+' or '-';
}
