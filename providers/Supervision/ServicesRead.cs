using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Supervision;

/// <summary>The services that systemd has loaded and that concern a container engine: their files name a client of one, or such a client
/// runs in them. Commands may hold passwords: they are judged and never shown.</summary>
public sealed record ServicesRead : Read<IReadOnlyList<ServiceState>>
{
    private const string Properties = "Id,LoadState,ExecCondition,ExecStartPre,ExecStart,ExecStartPost,ExecReload,ExecStop,ExecStopPost";

    // Where systemd looks for the files of a system's units: systemd.unit(5), "System Unit Search Path".
    private const string Directories =
        "/etc/systemd/system.control /run/systemd/system.control /run/systemd/transient /run/systemd/generator.early /etc/systemd/system "
        + "/etc/systemd/system.attached /run/systemd/system /run/systemd/system.attached /run/systemd/generator "
        + "/usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system /run/systemd/generator.late";

    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<ServicesRead>(Render, Parse);

    // A unit may start its container by a script of its own: then only the client that runs in the unit's cgroup tells. Asking systemd for
    // all services costs more than the rest of a probe, so files are searched first: a drop-in belongs to the unit of its directory, one
    // for all services or a prefix to many, a template to its instances; a search that takes too long counts as a drop-in for all
    // services. As a glob a name finds only loaded units, with --all also those that do not run now.
    private static void Render(ProbeText script, IReadOnlyList<ServicesRead> reads) =>
        script
            .Append(
                """
                clients=$(for p in /proc/[0-9]*; do c=; { read -r c <"$p/comm"; } 2>/dev/null; case $c in docker | podman | nerdctl)
                u=; while IFS= read -r l; do case $l in *.service) u=${l##*/}; break;; esac; done 2>/dev/null <"$p/cgroup"
                if [ -n "$u" ]; then printf '%s ' "$u"; tr '\0\n' '  ' 2>/dev/null <"$p/cmdline"; echo; fi;; esac; done)
                printf '%s\n' "$clients"; end clients 0
                units=$({ printf '%s\n' "$clients" | sed 's/ .*//'
                { timeout 20 grep -RlsE -D skip --include='*.service' --include='*.conf' 'docker|podman|nerdctl'
                """
            )
            .Append($" {Directories} || [ $? != 124 ] || echo /service.d/all; }} | sed -nE ")
            .Append(
                """
                -e 's:^.*/service\.d/[^/]+$:*.service:p;t' -e 's:^.*/([^/]+\.service)\.d/[^/]+$:\1:p;t' -e 's:^.*/([^/]+\.service)$:\1:p'
                } | sed -nE -e '/^\*\.service$|^[A-Za-z0-9:_.\\@-]+\.service$/!d' -e 's:\\:?:g' -e 's:([@-])\.service$:\1*.service:' \
                -e 's:e$:[e]:p' | sort -u)

                """
            )
            .Append(
                $"if [ -n \"$units\" ]; then set -f; systemctl show --all --no-pager -p {Properties} -- $units 2>/dev/null; set +f; fi; "
            )
            .Append("end services 0\n");

    private static void Parse(ProbeAnswer answer, IReadOnlyList<ServicesRead> reads)
    {
        foreach (var read in reads)
        {
            answer.Set(read, ServicesOf(answer.Part("services"), answer.Part("clients")));
        }
    }

    private static List<ServiceState> ServicesOf(ProbePart loaded, ProbePart running)
    {
        var clients = running
            .Lines.Select(line => line.Split(' ', 2))
            .Where(pair => pair.Length == 2)
            .ToLookup(pair => pair[0], pair => pair[1].Trim());
        List<ServiceState> services = [];
        foreach (var block in loaded.Text.Split("\n\n"))
        {
            var properties = block.Split('\n').Select(line => line.Split('=', 2)).Where(pair => pair.Length == 2).ToList();
            if (properties.Find(pair => pair[0] == "Id") is { } id)
            {
                var commands = properties
                    .Where(pair => pair[0].StartsWith("Exec", StringComparison.Ordinal))
                    .Select(pair => new ServiceCommand(pair[0], Command(pair[1])));
                services.Add(
                    new ServiceState(id[1], properties.Find(pair => pair[0] == "LoadState")?[1] ?? "", [.. commands], [.. clients[id[1]]])
                );
            }
        }

        return services;
    }

    // { path=/usr/bin/docker ; argv[]=/usr/bin/docker stop haproxy ; ignore_errors=no ; … }
    private static string Command(string text)
    {
        const string Begin = "argv[]=";
        var begin = text.IndexOf(Begin, StringComparison.Ordinal);
        var end = text.LastIndexOf(" ; ignore_errors=", StringComparison.Ordinal);
        return begin >= 0 && end > begin ? text[(begin + Begin.Length)..end] : text;
    }
}

/// <summary>A service of systemd, as far as it concerns containers.</summary>
/// <param name="Name">Its name, with its suffix.</param>
/// <param name="LoadState">As <c>systemctl show</c> says it; <c>not-found</c> of one that runs and whose file is gone.</param>
/// <param name="Commands">What its file runs.</param>
/// <param name="Clients">The command lines of container clients that run in it, words separated by spaces.</param>
public sealed record ServiceState(string Name, string LoadState, ImmutableArray<ServiceCommand> Commands, ImmutableArray<string> Clients);

/// <summary>A command of a service.</summary>
/// <param name="Kind">The setting, such as <c>ExecStart</c>.</param>
/// <param name="Line">Its words, separated by spaces.</param>
public sealed record ServiceCommand(string Kind, string Line);
