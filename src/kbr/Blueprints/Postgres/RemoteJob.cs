using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>Runs a job on a host and waits for it. The host's lock is held only while it starts, and where it is stopped: an apply can run
/// beside it.</summary>
/// <param name="session">The run.</param>
/// <param name="host">The host, which was read.</param>
/// <param name="job">The job.</param>
/// <param name="word">The command, which the lock names.</param>
internal sealed class RemoteJob(Session session, Host host, ContainerJob job, string word)
{
    // It ends by itself: that is seen sooner.
    private static readonly PollPace s_pace = new(TimeSpan.FromSeconds(1), TimeSpan.FromDays(30)) { SparesSlowHosts = true };

    /// <summary>Starts it and waits for its end; cancelled, it is stopped. Throws <see cref="DiagnosticException"/>.</summary>
    /// <param name="description">What it does.</param>
    /// <param name="command">The command in the container.</param>
    /// <param name="beside">What the host is asked while it runs.</param>
    /// <param name="look">Receives the answers.</param>
    /// <param name="stop">Stops it.</param>
    public async Task<ContainerJobState> RunAsync(
        string description,
        string command,
        IReadOnlyCollection<Read> beside,
        Action<Snapshot> look,
        CancellationToken stop
    )
    {
        var started = await WriteAsync(job.Start(description, command), stop).ConfigureAwait(false);
        if (started.ExitCode == ContainerJob.AlreadyRuns)
        {
            throw Busy(host.Name, word);
        }

        if (started.ExitCode != 0)
        {
            throw new DiagnosticException(
                Diagnostic.Error($"{host.Name}: {description} could not be started: {started.Error.Trim()}", host: host.Name)
            );
        }

        try
        {
            return await ContainerJob.UntilEndedAsync(LookAsync, s_pace, session.Time, stop).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            await WriteAsync(job.Stop(), CancellationToken.None).ConfigureAwait(false);
            // It may have ended by itself just before.
            var last = await session.Fleet.ReadAsync([host], _ => [job.Unit, job.Output], CancellationToken.None).ConfigureAwait(false);
            if (last[host.Name].Snapshot is { } snapshot && job.Of(snapshot) is { ExitCode: 0 } state)
            {
                return state;
            }

            throw;
        }

        async Task<ContainerJobState> LookAsync()
        {
            var answers = await session.Fleet.ReadAsync([host], _ => [job.Unit, job.Output, .. beside], stop).ConfigureAwait(false);
            stop.ThrowIfCancellationRequested();
            if (answers[host.Name] is not { Snapshot: { } snapshot } answer)
            {
                throw new DiagnosticException(
                    Diagnostic.Error(
                        $"{host.Name}: {answers[host.Name].Error}",
                        null,
                        $"{description} goes on there, as {job.Unit.Name}",
                        "run kbr backups to see what came of it",
                        host: host.Name
                    )
                );
            }

            look(snapshot);
            return job.Of(answer.Snapshot);
        }
    }

    /// <summary>Why it has no result where its end is unknown.</summary>
    public const string CutOff = "it was cut off, as by a boot of the host or a kill of its processes";

    /// <summary>The refusal where one runs already.</summary>
    public static DiagnosticException Busy(string host, string what) =>
        new(
            Diagnostic.Error($"a {what} is already running on {host}", remedy: "wait until it ends: kbr backups shows it then", host: host)
        );

    private async Task<ScriptResult> WriteAsync(Script script, CancellationToken cancellationToken)
    {
        var writer = await session
            .Fleet.OpenWriterAsync(host.Name, session.Holder(word), parallelism: 1, cancellationToken)
            .ConfigureAwait(false);
        await using (writer.ConfigureAwait(false))
        {
            return await writer.RunAsync(script, cancellationToken).ConfigureAwait(false);
        }
    }
}
