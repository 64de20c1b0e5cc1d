using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Supervision;

/// <summary>The services of a host that start a container, other than the one that kbr has for it: each would start it again, or another
/// one in its place.</summary>
/// <param name="Replaceable">Those that do nothing else: kbr may set them aside.</param>
/// <param name="Shared">Those with other jobs: they are not changed.</param>
internal sealed record ForeignUnits(ImmutableArray<string> Replaceable, ImmutableArray<SharedUnit> Shared)
{
    /// <summary>The attribute that shows them.</summary>
    public const string Attribute = "foreign_units";

    /// <summary>None is wanted.</summary>
    public const string None = "";

    private static readonly ImmutableHashSet<string> s_clients = ["docker", "podman", "nerdctl"];
    private static readonly ImmutableHashSet<string> s_shells = ["sh", "bash", "dash"];

    // `docker run` makes a container, `docker start` starts one by its name.
    private static readonly ImmutableHashSet<string> s_making = ["run", "create"];
    private static readonly ImmutableHashSet<string> s_starting = ["start", "restart"];
    private static readonly ImmutableHashSet<string> s_others =
    [
        "stop",
        "kill",
        "rm",
        "pull",
        "wait",
        "exec",
        "logs",
        "inspect",
        "rename",
        "update",
        "login",
        "cp",
        "ps",
        "attach",
        "unpause",
        "pause",
    ];

    /// <summary>As an attribute's value.</summary>
    public string Value => string.Join('\n', Replaceable);

    /// <summary>The plan's note about them; null for none.</summary>
    public string? Note =>
        Replaceable.IsEmpty
            ? null
            : string.Join(
                "; ",
                Replaceable.Select(unit =>
                    $"its unit {unit} is kept as {ForeignUnitScript.KeptAs(unit)}; to go back, run "
                    + $"{ForeignUnitScript.KeptAs(unit)}/{ForeignUnitScript.Restore}"
                )
            );

    /// <summary>Why nothing can be done while they are there; null where nothing stands in the way.</summary>
    public string? Problem(string container) =>
        Shared.IsEmpty
            ? null
            : string.Join(
                "; ",
                Shared.Select(unit =>
                    $"{unit.Name} starts the container {container} and has another job ({unit.OtherJob}): remove "
                    + $"{container} from it, then run systemctl daemon-reload"
                )
            );

    /// <summary>Judges the services of a host.</summary>
    /// <param name="services">All that systemd has loaded.</param>
    /// <param name="container">The container.</param>
    /// <param name="own">kbr's unit for it. A unit of that name that creates the container instead of starting it is foreign.</param>
    public static ForeignUnits Of(IReadOnlyList<ServiceState> services, string container, string own)
    {
        var replaceable = ImmutableArray.CreateBuilder<string>();
        var shared = ImmutableArray.CreateBuilder<SharedUnit>();
        foreach (
            var service in services.Where(service => service.LoadState != "masked").OrderBy(service => service.Name, StringComparer.Ordinal)
        )
        {
            var jobs = service
                .Commands.Select(command => Job.Of(command.Line, IsPreparation(command.Kind)))
                .Concat(service.Clients.Select(line => Job.Of(line, isPreparation: true)))
                .ToList();
            var starts = jobs.Where(job => job.Starts.Contains(container)).ToList();
            if (starts.Count == 0 || (service.Name == own && starts.TrueForAll(job => !job.Makes)))
            {
                continue;
            }

            var other = jobs.Select(job =>
                    job.Other
                    ?? job.Starts.Where(name => name != container).Select(name => $"it starts the container {name}").FirstOrDefault()
                )
                .FirstOrDefault(job => job is not null);
            if (other is null)
            {
                replaceable.Add(service.Name);
            }
            else
            {
                shared.Add(new SharedUnit(service.Name, other));
            }
        }

        return new ForeignUnits(replaceable.ToImmutable(), shared.ToImmutable());
    }

    // Commands before the start and after the stop only prepare and clean up.
    private static bool IsPreparation(string kind) => kind is "ExecCondition" or "ExecStartPre" or "ExecStop" or "ExecStopPost";

    /// <summary>The job of one command.</summary>
    /// <param name="Starts">The containers that it starts.</param>
    /// <param name="Makes">Whether it makes them, too.</param>
    /// <param name="Other">Its job besides containers, without any of its arguments; null for none.</param>
    private sealed record Job(ImmutableArray<string> Starts, bool Makes, string? Other)
    {
        private static readonly Job s_nothing = new([], false, null);

        public static Job Of(string line, bool isPreparation)
        {
            var words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0)
            {
                return s_nothing;
            }

            var at = Array.FindIndex(words, word => s_clients.Contains(FileName(word)));
            if (at < 0)
            {
                return isPreparation ? s_nothing : new Job([], false, $"it runs {words[0]}");
            }

            // A shell may run more than one command, and a command behind another program is that program's argument.
            var isPlain = at == 0 || (s_shells.Contains(FileName(words[0])) && !line.AsSpan().ContainsAny(";&|\n`"));
            var other = isPlain || isPreparation ? null : $"it runs {words[0]}";
            var verb = Array.FindIndex(words, at + 1, word =>
                s_making.Contains(word) || s_starting.Contains(word) || s_others.Contains(word)
            );
            if (verb < 0)
            {
                return new Job([], false, other ?? (isPreparation ? null : $"it runs {words[0]}"));
            }

            var arguments = words[(verb + 1)..];
            if (s_making.Contains(words[verb]))
            {
                var name = Name(arguments);
                return new Job(
                    name is null ? [] : [name],
                    Makes: true,
                    other ?? (name is null && !isPreparation ? "it runs a container without a name" : null)
                );
            }

            return s_starting.Contains(words[verb])
                ? new Job(
                    [.. arguments.Where(word => word[0] != '-' && !word.All(char.IsAsciiDigit)).Select(Unquoted)],
                    Makes: false,
                    other
                )
                : new Job([], false, other);
        }

        private static string? Name(string[] arguments)
        {
            const string Option = "--name";
            for (var i = 0; i < arguments.Length; i++)
            {
                if (arguments[i].StartsWith(Option + "=", StringComparison.Ordinal))
                {
                    return Unquoted(arguments[i][(Option.Length + 1)..]);
                }

                if (arguments[i] == Option && i + 1 < arguments.Length)
                {
                    return Unquoted(arguments[i + 1]);
                }
            }

            return null;
        }

        private static string FileName(string path) => path[(path.LastIndexOf('/') + 1)..].Trim('"', '\'');

        private static string Unquoted(string word) => word.Trim('"', '\'', ';');
    }
}

/// <summary>A service that starts a container and has another job beside it.</summary>
/// <param name="Name">The service.</param>
/// <param name="OtherJob">The other job, in words that hold none of its arguments.</param>
internal sealed record SharedUnit(string Name, string OtherJob);
