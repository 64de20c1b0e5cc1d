using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>Carries one change of the dynamic configuration out: stores it, takes back what ALTER SYSTEM put in its way, waits until every
/// member runs with it, and restarts in turn the members that have to be.</summary>
internal sealed class ConfigChange
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);

    // Longer than a loop of Patroni's usually takes.
    private static readonly TimeSpan s_reload = TimeSpan.FromSeconds(10);

    private readonly Resource _resource;
    private readonly IGroupAccess _group;
    private readonly IReadOnlyDictionary<string, string> _settings;
    private readonly ClusterConnection _connection;
    private readonly PatroniMembers _members;
    private readonly ImmutableSortedDictionary<string, string?> _values;
    private readonly IReadOnlyCollection<string> _keys;
    private readonly PollPace _pace;

    /// <summary>Takes the change; does nothing yet.</summary>
    public ConfigChange(ResourceChange change, IGroupAccess group, IConsensusStore store)
    {
        (_settings, _connection, var timeout) = PatroniConfigSpec.Of(change.Resource);
        _resource = change.Resource;
        _group = group;
        _pace = new PollPace(s_poll, timeout) { SparesSlowHosts = true };
        _members = new PatroniMembers(change.Resource, group, store, _pace.Deadline);
        _values = (change.Operation == ResourceOperation.Create ? _settings.Keys : change.Changed).ToImmutableSortedDictionary(
            key => key,
            key => _settings.GetValueOrDefault(key),
            StringComparer.Ordinal
        );
        _keys = [.. _values.Keys.Concat(ConfigRound.NotLowerThanLeader.Select(name => DynamicSettings.Parameters + name))];
    }

    /// <summary>Makes it so. Throws <see cref="ChangeFailedException"/>.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var view = await ReadAsync(cancellationToken).ConfigureAwait(false);
        await RefuseAsync(view, cancellationToken).ConfigureAwait(false);
        foreach (var round in ConfigRound.Of(_values, ConfigRound.Running(view)))
        {
            view = await RunAsync(view, [.. round.Values], round.LeaderFirst, cancellationToken).ConfigureAwait(false);
        }

        // Stored is not yet in force: Patroni first has to choose a standby, and to see that it has caught up.
        if (_values.GetValueOrDefault(PatroniHealth.SynchronousKey) is { } synchronous && DynamicSettings.Same(synchronous, "true"))
        {
            await _members.HealthyAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Stores the desired values while a member's PostgreSQL does not run: the stored values may prevent its start, and Patroni
    /// starts it again with the new ones. A running member reloads and is not restarted. Throws <see
    /// cref="ChangeFailedException"/>.</summary>
    public async Task StoreAheadAsync(CancellationToken cancellationToken)
    {
        var snapshots = await PatroniGroup
            .ReadAllAsync(
                _group,
                [.. PatroniHealth.Reads(_connection.RestPort), .. ConfigView.Reads(_connection, _keys)],
                cancellationToken
            )
            .ConfigureAwait(false);
        var health = PatroniGroup.Judge(_resource, snapshots, _group.Members.Select(member => member.Name));
        if (
            !StartFailure.Members(health).Any()
            || ConfigView.Of(_connection, _keys, snapshots) is not { } view
            || Different(view, _values) is not { Count: > 0 } different
        )
        {
            return;
        }

        await RefuseAsync(view, cancellationToken).ConfigureAwait(false);
        var trouble = "";
        foreach (
            var member in health
                .Members.Where(member => member.Answers)
                .OrderByDescending(member => member.Leads)
                .ThenByDescending(member => member.IsRunning)
        )
        {
            try
            {
                if (await PatchAsync(member.Name, different, cancellationToken).ConfigureAwait(false) is not { } refused)
                {
                    return;
                }

                trouble = refused;
            }
            catch (TransientFailureException exception)
            {
                trouble = exception.Message;
            }
        }

        throw new ChangeFailedException(trouble);
    }

    // A value that PostgreSQL would not start with is never stored.
    private async Task RefuseAsync(ConfigView view, CancellationToken cancellationToken)
    {
        if (
            Different(view, _values).Any(pair => pair.Value is not null && DynamicSettings.ParameterOf(pair.Key) is not null)
            && await StartCheck
                .RefusalAsync(
                    _group,
                    _connection,
                    Wanted(),
                    ImmutableDictionary<string, ImmutableSortedDictionary<string, string>>.Empty,
                    cancellationToken
                )
                .ConfigureAwait(false)
                is { } refusal
        )
        {
            throw new ChangeFailedException($"{refusal}; nothing was stored, and no member is restarted");
        }
    }

    // Undeclared settings count at a start, too.
    private async Task RefuseRestartAsync(ConfigView view, CancellationToken cancellationToken)
    {
        var stored = view
            .Stored.Where(pair => DynamicSettings.ParameterOf(pair.Key) is not null)
            .Select(pair => KeyValuePair.Create(DynamicSettings.ParameterOf(pair.Key)!, pair.Value))
            .ToList();
        var also = view.Members.ToDictionary(
            member => member.Name,
            member =>
                stored
                    .Concat(member.Altered)
                    .GroupBy(pair => pair.Key, StringComparer.Ordinal)
                    .ToImmutableSortedDictionary(same => same.Key, same => same.Last().Value, StringComparer.Ordinal),
            StringComparer.Ordinal
        );
        if (await StartCheck.RefusalAsync(_group, _connection, Wanted(), also, cancellationToken).ConfigureAwait(false) is { } refusal)
        {
            throw new ChangeFailedException(
                $"{refusal}; no member is restarted. Remove settings outside {_resource.Address} by hand: "
                    + $"patronictl edit-config, or ALTER SYSTEM RESET"
            );
        }
    }

    // Also what was there before: one value may be wrong only beside another.
    private Dictionary<string, string?> Wanted() =>
        _settings.ToDictionary(pair => pair.Key, pair => (string?)pair.Value, StringComparer.Ordinal);

    private static List<KeyValuePair<string, string?>> Different(ConfigView view, IEnumerable<KeyValuePair<string, string?>> values) =>
        [.. values.Where(pair => pair.Value is null ? view.Stored.ContainsKey(pair.Key) : !view.IsStored(pair.Key, pair.Value))];

    // Null when it was taken, otherwise what Patroni says.
    private async Task<string?> PatchAsync(
        string member,
        IEnumerable<KeyValuePair<string, string?>> values,
        CancellationToken cancellationToken
    )
    {
        var answer = await new PatroniRest(_group, _connection)
            .SendAsync(member, "PATCH", "/config", DynamicSettings.Patch(values), TimeSpan.FromSeconds(20), cancellationToken)
            .ConfigureAwait(false);
        return answer.Status == 200 ? null : $"{member}: Patroni answers {answer.Status} to the new configuration: {Plain(answer.Body)}";
    }

    // Takes the last look at the members, and answers the one that shows that they have taken the values.
    private async Task<ConfigView> RunAsync(
        ConfigView seen,
        List<KeyValuePair<string, string?>> values,
        bool leaderFirst,
        CancellationToken cancellationToken
    )
    {
        if (values.Count == 0)
        {
            return seen;
        }

        seen = await StoreAsync(seen, values, cancellationToken).ConfigureAwait(false);
        await ResetAsync(seen, values, cancellationToken).ConfigureAwait(false);
        var restarts = 0;
        while (true)
        {
            var (view, waiting) = await SettleAsync(values, cancellationToken).ConfigureAwait(false);
            if (waiting.Count == 0)
            {
                return view;
            }

            if (restarts == 0)
            {
                await RefuseRestartAsync(view, cancellationToken).ConfigureAwait(false);
            }

            // On a lowered value a standby may have to be restarted again, once it has seen that the leader has it.
            if (++restarts > 3 * _group.Members.Length)
            {
                throw new ChangeFailedException(
                    $"{string.Join(" and ", waiting)} still have a pending restart after {restarts - 1} restarts; see "
                        + $"pending_restart_reason in Patroni's /patroni there"
                );
            }

            await _members
                .RestartNextAsync(
                    waiting,
                    leaderFirst && view.Members.Any(member => !member.InRecovery && waiting.Contains(member.Name)),
                    cancellationToken
                )
                .ConfigureAwait(false);
        }
    }

    private async Task<ConfigView> ReadAsync(CancellationToken cancellationToken)
    {
        var last = await Poll.UntilAsync(LookAsync, view => view is { Members.IsEmpty: false }, _pace, _group.Time, cancellationToken)
            .ConfigureAwait(false);
        return last is { Members.IsEmpty: false }
            ? last
            : throw new ChangeFailedException(
                $"no member of {_connection.Scope} has reported its dynamic configuration and parameters for "
                    + $"{_pace.Deadline.TotalSeconds:0} s; is there a primary?"
            );

        async Task<ConfigView?> LookAsync() =>
            ConfigView.Of(
                _connection,
                _keys,
                await PatroniGroup.ReadAllAsync(_group, ConfigView.Reads(_connection, _keys), cancellationToken).ConfigureAwait(false)
            );
    }

    // Answers the look that told what to store.
    private async Task<ConfigView> StoreAsync(
        ConfigView view,
        List<KeyValuePair<string, string?>> values,
        CancellationToken cancellationToken
    )
    {
        var isFirst = true;
        if (
            await Poll.UntilAsync(TryAsync, trouble => trouble is null, _pace, _group.Time, cancellationToken).ConfigureAwait(false) is
            { } last
        )
        {
            throw new ChangeFailedException(last);
        }

        return view;

        // Answers the obstacle; null for none.
        async Task<string?> TryAsync()
        {
            view = isFirst ? view : await ReadAsync(cancellationToken).ConfigureAwait(false);
            isFirst = false;
            var different = Different(view, values);
            if (different.Count == 0)
            {
                return null;
            }

            try
            {
                var target = view.Members.FirstOrDefault(member => !member.InRecovery)?.Name ?? view.Members[0].Name;
                return await PatchAsync(target, different, cancellationToken).ConfigureAwait(false);
            }
            catch (TransientFailureException exception)
            {
                return exception.Message;
            }
        }
    }

    private async Task ResetAsync(ConfigView view, List<KeyValuePair<string, string?>> values, CancellationToken cancellationToken)
    {
        var overridden = values
            .Where(pair => pair.Value is not null)
            .SelectMany(pair => view.Overridden(pair.Key, pair.Value!))
            .ToLookup(found => found.Member, found => found.Parameter);
        foreach (var member in overridden)
        {
            var statements = member
                .Select(name => SqlStatement.Run($"ALTER SYSTEM RESET {string.Join('.', name.Split('.').Select(SqlText.Identifier))}"))
                .Append(SqlStatement.Run("SELECT pg_catalog.pg_reload_conf()"));
            try
            {
                await new LeaderSession(_group, _connection)
                    .RunOnAsync(member.Key, [.. statements], cancellationToken)
                    .ConfigureAwait(false);
            }
            catch (TransientFailureException exception)
            {
                throw new ChangeFailedException(exception.Message, exception);
            }
        }
    }

    // Waits until every member has taken the values or says that it has to be restarted for them; answers who has to be.
    private async Task<(ConfigView View, IReadOnlyCollection<string> Waiting)> SettleAsync(
        List<KeyValuePair<string, string?>> values,
        CancellationToken cancellationToken
    )
    {
        var asked = _group.Time.GetTimestamp();
        var last = await Poll.UntilAsync(
                LookAsync,
                look => look.IsSettled,
                _pace,
                _group.Time,
                cancellationToken,
                beforePause: _ => _group.Report.Awaits($"every member of {_connection.Scope} to take the new settings")
            )
            .ConfigureAwait(false);
        return last.IsSettled ? (last.View, last.Waiting) : throw new ChangeFailedException(last.Unsettled(_connection.Scope, _pace));

        async Task<Settling> LookAsync()
        {
            var view = await ReadAsync(cancellationToken).ConfigureAwait(false);
            var waiting = values
                .Where(pair => pair.Value is not null)
                .SelectMany(pair => view.Pending(pair.Key, pair.Value!))
                .Select(member => member.Name)
                .Concat(
                    values
                        .Where(pair => pair.Value is null)
                        .SelectMany(pair => view.Members.Where(member => IsAwaited(member, pair.Key)).Select(member => member.Name))
                )
                .ToImmutableSortedSet(StringComparer.Ordinal);
            var open = values.Where(pair => pair.Value is not null && view.IsOpen(pair.Key, pair.Value, !waiting.IsEmpty)).ToList();
            var leaving = values
                .Where(pair => pair.Value is null)
                .SelectMany(pair => view.Members.Where(member => IsLeaving(member, pair.Key)).Select(member => (pair.Key, member.Name)))
                .ToList();
            var left = values.Where(pair => pair.Value is null && waiting.IsEmpty && view.Left(pair.Key) is not null).ToList();
            // Patroni never looks again at what was stored or removed while it started its PostgreSQL (4.0.7), nor at a line that somebody
            // took out of postgresql.conf, or added to it.
            ImmutableSortedSet<string> behind = [.. view.Without(open), .. leaving.Select(one => one.Name)];
            if (!behind.IsEmpty && _group.Time.GetElapsedTime(asked) > s_reload)
            {
                asked = _group.Time.GetTimestamp();
                foreach (var member in behind)
                {
                    await ReloadAsync(member, cancellationToken).ConfigureAwait(false);
                }
            }

            return new Settling(view, waiting, open, leaving, [.. left.Select(pair => pair.Key)]);
        }
    }

    // Patroni compares all of its settings with PostgreSQL's then, and writes postgresql.conf anew.
    private async Task ReloadAsync(string member, CancellationToken cancellationToken)
    {
        try
        {
            await new PatroniRest(_group, _connection)
                .SendAsync(member, "POST", "/reload", "{}"u8.ToArray(), TimeSpan.FromSeconds(20), cancellationToken)
                .ConfigureAwait(false);
        }
        catch (TransientFailureException)
        {
            // It is asked again, as long as it is behind.
        }
    }

    /// <summary>The members' progress in taking over the stored values.</summary>
    /// <param name="View">Their configuration.</param>
    /// <param name="Waiting">The members with a pending restart.</param>
    /// <param name="Open">The values that some member neither uses nor awaits a restart for.</param>
    /// <param name="Leaving">The removed keys that a member's PostgreSQL still has.</param>
    /// <param name="Left">The keys of removed slots that still exist.</param>
    private sealed record Settling(
        ConfigView View,
        ImmutableSortedSet<string> Waiting,
        IReadOnlyList<KeyValuePair<string, string?>> Open,
        IReadOnlyList<(string Key, string Member)> Leaving,
        IReadOnlyList<string> Left
    )
    {
        public bool IsSettled => Open.Count == 0 && Leaving.Count == 0 && Left.Count == 0;

        /// <summary>The error when it did not settle in time.</summary>
        public string Unsettled(string scope, PollPace pace) =>
            Open.Count == 0 && Left.Count > 0
                ? string.Join(
                    "; ",
                    Left.Select(key =>
                        $"{View.Left(key)}: the slot {DynamicSettings.SlotOf(key)} is in use; Patroni drops it once its consumer is stopped"
                    )
                )
                : $"after {pace.Deadline.TotalSeconds:0} s not every member of {scope} uses the stored values: "
                    + (
                        Open.Count == 0
                            ? string.Join(
                                "; ",
                                Leaving
                                    .GroupBy(one => one.Member, one => one.Key)
                                    .Select(left =>
                                        $"{left.Key} still has {string.Join(", ", left)} in its postgresql.conf: "
                                        + "does its own patroni.yml set it?"
                                    )
                            )
                            : string.Join(
                                "; ",
                                Open.Select(pair =>
                                    $"{pair.Key} is {View.Actual(pair.Key, pair.Value!) ?? "nothing"} instead of {pair.Value}"
                                )
                            )
                    );
    }

    private static bool IsAwaited(MemberSettings member, string key) =>
        DynamicSettings.ParameterOf(key) is { } name
        && member.Parameters.GetValueOrDefault(name) is { } parameter
        && member.Awaits(parameter);

    // A key taken away has left a member when its file no longer has it, or when PostgreSQL has Patroni's own value again: until then
    // Patroni has not looked yet, or a restart is still to come.
    private static bool IsLeaving(MemberSettings member, string key) =>
        DynamicSettings.ParameterOf(key) is { } name
        && member.Parameters.GetValueOrDefault(name) is { } parameter
        && !member.Awaits(parameter)
        && (PatroniDefaults.Of(name) is { } own ? !parameter.Has(own) : parameter.IsInPatronisFile);

    private static string Plain(string body) =>
        body.Contains('<', StringComparison.Ordinal) ? "no reason given"
        : body.Trim() is { Length: > 0 } text ? text[..Math.Min(text.Length, 300)]
        : "no reason given";
}
