using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Makes one step on its hosts, and reads back whether it took effect. Methods answer null when it did, otherwise why it did
/// not.</summary>
/// <param name="run">What the apply works with.</param>
/// <param name="forecasts">How many steps the plan has forecast for changes that restart members by themselves.</param>
internal sealed class ChangeExecutor(ApplyRun run, IReadOnlyDictionary<Address, int> forecasts)
{
    /// <summary>Makes a change; one that is checked again later is only checked. Where a resource that the plan could not see exists, it is
    /// recorded if it is as desired, and else left as it is.</summary>
    public async Task<string?> ApplyAsync(PlannedChange change)
    {
        if (change is { Unseen: true, Record: { } planned })
        {
            var now = await run.Fleet.ObserveAsync(change.Resource, run.Abort).ConfigureAwait(false);
            if (now is Observation.Unknown unknown)
            {
                return unknown.Reason;
            }

            if (now is Observation.Present found)
            {
                var difference = Convergence.Difference(DesiredOf(change), found);
                if (difference is not null && !found.IsManaged)
                {
                    return $"it exists and was not created by kbr, and {difference}; nothing was changed there: run kbr plan again";
                }

                if (difference is null)
                {
                    change = change with { Action = ResourceAction.Adopt, Record = planned with { Created = found.IsManaged } };
                }
            }
        }

        if (change.Deferred)
        {
            var now = await run.Fleet.ObserveAsync(change.Resource, run.Abort).ConfigureAwait(false);
            return Convergence.Difference(DesiredOf(change), now) is { } open
                ? $"after its dependencies were applied, {open}; run kbr plan again"
                : null;
        }

        if (await MakeAsync(change).ConfigureAwait(false) is { } error)
        {
            return error;
        }

        if (ChangeScript.OnlyRecords(change))
        {
            return null;
        }

        var observation = await run.Fleet.ObserveAsync(change.Resource, run.Abort).ConfigureAwait(false);
        if (change.Action == ResourceAction.Delete)
        {
            return observation is Observation.Present left && !IsRetired(change, left) ? "it still exists after its removal" : null;
        }

        return Convergence.Difference(DesiredOf(change), observation) is { } differs ? $"the change was applied, but {differs}" : null;
    }

    /// <summary>Makes the part of a change that its group may need before any of its gates opens. Answers why the change cannot be
    /// made.</summary>
    public async Task<string?> ApplyAheadAsync(PlannedChange change)
    {
        if (
            change.Action != ResourceAction.Update
            || run.Stop.IsCancellationRequested
            || run.Providers.Get(change.Address.Type) is not IChangesAhead provider
        )
        {
            return null;
        }

        try
        {
            if (
                ScriptOf(change).Intent() is { Length: > 0 } intent
                && await RunOnAllAsync(run.LockedHostsOf(change.Address), intent).ConfigureAwait(false) is { } error
            )
            {
                return error;
            }

            await provider
                .ChangeAheadAsync(ChangeScript.Of(change), run.AccessOf(change.Address.Host, NoStepReport.Instance), run.Abort)
                .ConfigureAwait(false);
        }
        catch (ChangeFailedException exception)
        {
            return exception.Message;
        }
        catch (Exception exception) when (exception is HostException or OperationCanceledException)
        {
            // Its own turn finds the same, if it is still so.
        }

        return null;
    }

    /// <summary>Makes the part of a change that disrupts no service, with a record of its own, while the rest is left for later. Answers
    /// the attributes that it changes, and what kept it from being made; none where there is no such part.</summary>
    public async Task<(ImmutableSortedSet<string> Names, string? Error)> ApplyPartAsync(PlannedChange change)
    {
        if (
            change is not { Action: ResourceAction.Update, Record: { } next }
            || run.Providers.Get(change.Address.Type) is not IChangesInPart provider
            || run.Survey.Records.GetValueOrDefault(change.Address) is not { Pending: false } last
            || provider.WithoutDisruption(
                ChangeScript.Of(change),
                last.Spec,
                (run.Survey.Observations.GetValueOrDefault(change.Address) as Observation.Present)?.Outlook
            )
                is not { } part
        )
        {
            return ([], null);
        }

        var prints = last.Fingerprints;
        foreach (var (name, print) in next.Fingerprints)
        {
            if (part.Changed.Contains(name))
            {
                prints = prints.SetItem(name, print);
            }
        }

        var made = change with
        {
            Resource = part.Resource,
            Differences = [.. change.Differences.Where(difference => part.Changed.Contains(difference.Name))],
            Record = last with { Spec = part.Resource.Spec, Fingerprints = prints },
            Intent = last with { Intended = last.Intended.Union(part.Changed) },
        };
        try
        {
            return (part.Changed, await MakeAsync(made).ConfigureAwait(false));
        }
        catch (Exception exception) when (exception is HostException or ChangeFailedException)
        {
            return (part.Changed, exception.Message);
        }
    }

    /// <summary>Brings a group to health.</summary>
    public async Task<string?> BringToHealthAsync(PlannedGroup group)
    {
        var policy = group.Policy;
        var report = new StepReport(policy.Address, 0, run.Progress);
        await policy.Rules.BringToHealthAsync(policy, run.AccessOf(policy.Group, report), run.Abort).ConfigureAwait(false);
        // Its members go on by themselves: a connection between two of them that is made anew is no failure.
        var difference = await Poll.UntilAsync(
                async () =>
                    Convergence.Difference(
                        policy.Rules.Desired(policy),
                        await run.Fleet.ObserveAsync(policy, run.Abort).ConfigureAwait(false)
                    ),
                differs => differs is null,
                new PollPace(TimeSpan.FromSeconds(1), policy.Rules.GateTimeout(policy)) { SparesSlowHosts = true },
                run.Time,
                run.Abort
            )
            .ConfigureAwait(false);
        return difference is null ? null : $"it was brought to health, but {difference}";
    }

    // Makes the change and writes its record.
    private async Task<string?> MakeAsync(PlannedChange change)
    {
        var provider = run.Providers.Get(change.Address.Type);
        var script = ScriptOf(change);
        var record = script.Record(provider is IGroupResourceProvider, run.Time.GetUtcNow());
        if (provider is IHostResourceProvider local)
        {
            return await RunAsync(change.Address.Host, script.OnHost(local, record, run.Cluster.Directory)).ConfigureAwait(false);
        }

        var hosts = run.LockedHostsOf(change.Address).ToList();
        if (script.Begin(record) is { Length: > 0 } begin && await RunOnAllAsync(hosts, begin).ConfigureAwait(false) is { } early)
        {
            return early;
        }

        if (!ChangeScript.OnlyRecords(change))
        {
            var report = new StepReport(change.Address, forecasts.GetValueOrDefault(change.Address), run.Progress);
            await ((IGroupResourceProvider)provider)
                .ChangeAsync(ChangeScript.Of(change), run.AccessOf(change.Address.Host, report), run.Abort)
                .ConfigureAwait(false);
        }

        return await RunOnAllAsync(hosts, script.End(record)).ConfigureAwait(false);
    }

    // A retired resource still exists, as intended.
    private bool IsRetired(PlannedChange change, Observation.Present left) =>
        !change.DeleteData
        && run.Providers.Get(change.Address.Type) is IRetiresOnRemoval retiring
        && retiring.Retirement(change.Resource, left) is null;

    // What a process loads that is replaced later is not loaded yet.
    private SortedMap<AttributeValue> DesiredOf(PlannedChange change)
    {
        var provider = run.Providers.Get(change.Address.Type);
        var desired = provider.Desired(change.Resource);
        return change.ReplacedProcess is not null && provider is ILoadedByProcess { LoadedAttribute: var loaded }
            ? desired.Where((name, _) => name != loaded)
            : desired;
    }

    private ChangeScript ScriptOf(PlannedChange change) => new(change, run.Cluster.Name, run.Survey.SerialOf(change.Address));

    private async Task<string?> RunOnAllAsync(IEnumerable<string> hosts, string text)
    {
        var results = await Task.WhenAll(hosts.Select(host => RunAsync(host, new Script(text)))).ConfigureAwait(false);
        return results.FirstOrDefault(error => error is not null);
    }

    private async Task<string?> RunAsync(string host, Script script)
    {
        var result = await run.Writers[host].RunAsync(script, run.Abort).ConfigureAwait(false);
        if (result.ExitCode == 124)
        {
            return $"it took longer than {script.Deadline.TotalSeconds:0} s and was aborted. {LastLines(result)}";
        }

        return result.ExitCode == 0 ? null
            : LastLines(result) is { Length: > 0 } text ? text
            : $"the script ended with exit status {result.ExitCode} and no output";
    }

    private static string LastLines(ScriptResult result)
    {
        var text = (result.Error.Trim().Length > 0 ? result.Error : result.Output).Trim();
        return string.Join('\n', text.Split('\n').TakeLast(20));
    }
}
