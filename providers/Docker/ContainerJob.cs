using System.Globalization;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Docker;

/// <summary>A long command inside a container, run by a transient unit of the host: it needs neither kbr nor a lock once it runs, and goes
/// on where the connection breaks.</summary>
/// <param name="Name">The unit's name without its suffix, such as <c>kbr-backup</c>.</param>
/// <param name="Container">The container.</param>
public sealed record ContainerJob(string Name, string Container)
{
    /// <summary>Whether it takes only the time of processors and disks that nothing else wants.</summary>
    public bool IsIdle { get; init; }

    /// <summary>The exit status of <see cref="Start"/> where it runs already: EX_TEMPFAIL.</summary>
    public const int AlreadyRuns = 75;

    /// <summary>The unit.</summary>
    public UnitRead Unit => new(Name + ".service");

    /// <summary>The output of its last run, for root alone, until the host boots.</summary>
    public FileRead Output => new($"/run/kbr/{Name}.log");

    // The unit itself does not fail: a failed one would be the host's trouble until somebody resets it.
    private const string Ended = "kbr: exit ";

    // The client of the engine passes on no signal: the process is ended by its group, whose number the container keeps.
    private string ProcessFile => $"/tmp/{Name}.pid";

    /// <summary>Starts it, and returns.</summary>
    /// <param name="description">What it does.</param>
    /// <param name="command">A shell command without secrets.</param>
    public Script Start(string description, string command)
    {
        // Behind the server's own processes, as the scheduled ones.
        var idle = IsIdle ? "{ ionice -c 3 -p $$; chrt --idle -p 0 $$; } >/dev/null 2>&1 || :; " : "";
        var inside = $"echo $$ >{ProcessFile}; renice -n 10 -p $$ >/dev/null 2>&1 || :; {idle}{command}";
        var outside =
            $"umask 077; rc=0; docker exec {Script.Quote(Container)} sh -c {Script.Quote(inside)} >{Output.Path} 2>&1 </dev/null || rc=$?; "
            + $"echo \"{Ended}$rc\" >>{Output.Path}";
        return new Script(
            $$"""
            unit={{Script.Quote(Unit.Name)}}
            case $(systemctl show -p ActiveState --value -- "$unit") in
            active | activating | deactivating | reloading) exit {{AlreadyRuns.ToString(CultureInfo.InvariantCulture)}} ;;
            esac
            mkdir -p /run/kbr
            rm -f -- {{Output.Path}}
            systemd-run --quiet --unit="$unit" --description={{Script.Quote(description)}} sh -c {{Script.Quote(outside)}}

            """
        );
    }

    /// <summary>Ends it, and waits until it is gone.</summary>
    public Script Stop()
    {
        // Not after --, which dash takes for a number.
        var inside = $"kill -TERM -$(cat {ProcessFile})";
        return new Script(
            $$"""
            unit={{Script.Quote(Unit.Name)}}
            docker exec {{Script.Quote(Container)}} sh -c {{Script.Quote(inside)}} </dev/null || :
            end=$(($(date +%s) + 60))
            while systemctl is-active --quiet -- "$unit" && [ "$(date +%s)" -lt "$end" ]; do sleep 0.2; done
            systemctl stop -- "$unit" 2>/dev/null || :

            """
        );
    }

    /// <summary>Looks until it has ended.</summary>
    /// <param name="look">How it stands; its unit and its output are read one after the other.</param>
    /// <param name="pace">How often.</param>
    /// <param name="time">The time.</param>
    /// <param name="cancellationToken">Ends the wait alone.</param>
    public static async Task<ContainerJobState> UntilEndedAsync(
        Func<Task<ContainerJobState>> look,
        PollPace pace,
        TimeProvider time,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(look);
        var state = await Poll.UntilAsync(look, state => !state.IsRunning, pace, time, cancellationToken).ConfigureAwait(false);
        // The output may have been read before its last line was there, and the unit after: a look that begins now sees all.
        return state.ExitCode is null ? await look().ConfigureAwait(false) : state;
    }

    /// <summary>How it stands.</summary>
    public ContainerJobState Of(Snapshot host)
    {
        ArgumentNullException.ThrowIfNull(host);
        var text = host.Get(Output)?.Text ?? "";
        var at = text.LastIndexOf(Ended, StringComparison.Ordinal);
        return new ContainerJobState(
            host.Get(Unit)["ActiveState"] is "active" or "activating" or "deactivating" or "reloading",
            at >= 0 && int.TryParse(text.AsSpan(at + Ended.Length).Trim(), CultureInfo.InvariantCulture, out var code) ? code : null,
            at < 0 ? text : text[..at]
        );
    }
}

/// <summary>How a job stands.</summary>
/// <param name="IsRunning">Whether it runs.</param>
/// <param name="ExitCode">How its last run ended; null where it did not, as when the host went down.</param>
/// <param name="Output">What its last run printed.</param>
public sealed record ContainerJobState(bool IsRunning, int? ExitCode, string Output);
