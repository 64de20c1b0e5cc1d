using System.Text;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>The replication slots of members that left. They retain the write-ahead log on every member. Patroni recreates a slot that is
/// dropped by hand, and drops the slots itself <c>member_slots_ttl</c> (30 minutes) after it last saw the member, so that time is shortened
/// for a moment. One second keeps the slots of present members, which Patroni sees in every round; 0 would not.</summary>
/// <param name="resource">The resource that stands for the cluster.</param>
/// <param name="group">The members.</param>
internal sealed class FormerSlots(IDeclared resource, IGroupAccess group)
{
    /// <summary>The attribute that says whether an apply was cut off meanwhile.</summary>
    public const string Attribute = "former_slots";

    /// <summary>Its value when none was.</summary>
    public const string Settled = "settled";

    private const string Key = "member_slots_ttl";

    // As text: a number would be an operator's own value.
    private const string ForNow = "1s";

    private static readonly PollPace s_rounds = new(TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(45));
    private static readonly TimeSpan s_call = TimeSpan.FromSeconds(20);

    private readonly ClusterConnection _connection = ClusterConnection.Of(resource);

    /// <summary>The value of <see cref="Attribute"/> from the members' answers.</summary>
    public static string Observe(ClusterConnection connection, IEnumerable<Snapshot> members) =>
        members.Any(member => JsonAnswer.Parse(member.Get(connection.Rest("/config")).Body)?.Text(Key) == ForNow)
            ? $"being dropped: {Key} is {ForNow}"
            : Settled;

    /// <summary>Has those dropped that are left of hosts that are no members, and puts the time back. That they are gone is not certain:
    /// where they are not after a while Patroni does it later. Throws <see cref="ChangeFailedException"/> when the time could not be
    /// shortened or put back.</summary>
    public async Task DropAsync(CancellationToken cancellationToken)
    {
        var config = _connection.Rest("/config");
        var answers = await PatroniGroup.ReadAllAsync(group, [config], cancellationToken).ConfigureAwait(false);
        var former = answers
            .Values.Select(answer => JsonAnswer.Parse(answer.Get(config).Body))
            .FirstOrDefault(json => json is not null)
            ?.At(Key)
            ?.GetRawText();
        var cutOff = former == $"\"{ForNow}\"";
        if (!cutOff && !await AnyLeftAsync(cancellationToken).ConfigureAwait(false))
        {
            return;
        }

        await StoreAsync($"\"{ForNow}\"", cancellationToken).ConfigureAwait(false);
        try
        {
            await Poll.UntilAsync(() => AnyLeftAsync(cancellationToken), left => !left, s_rounds, group.Time, cancellationToken)
                .ConfigureAwait(false);
        }
        finally
        {
            // Even after a cancellation.
            await StoreAsync(cutOff || former is null ? "null" : former, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private async Task<bool> AnyLeftAsync(CancellationToken cancellationToken)
    {
        var names = resource
            .Spec.Map(StoreMembership.OtherHostsAttribute)
            .Values.Select(name => SqlText.Literal(MemberSlot.NameOf(name)))
            .ToList();
        if (names.Count == 0)
        {
            return false;
        }

        var read = _connection.Sql(
            $"SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE slot_type = 'physical' AND NOT active "
                + $"AND slot_name IN ({string.Join(", ", names)})"
        );
        var answers = await PatroniGroup.ReadAllAsync(group, [read], cancellationToken).ConfigureAwait(false);
        return answers.Values.Any(answer => JsonAnswer.Rows(answer.Get(read).Json) is { Count: > 0 });
    }

    // Any member takes it.
    private async Task StoreAsync(string value, CancellationToken cancellationToken)
    {
        var body = Encoding.UTF8.GetBytes($"{{\"{Key}\": {value}}}");
        var trouble = "";
        foreach (var member in group.Members)
        {
            try
            {
                var answer = await new PatroniRest(group, _connection)
                    .SendAsync(member.Name, "PATCH", "/config", body, s_call, cancellationToken)
                    .ConfigureAwait(false);
                if (answer.Status == 200)
                {
                    return;
                }

                trouble = $"{member.Name}: Patroni answers {answer.Status}: {answer.Body.Trim()}";
            }
            catch (Exception exception) when (exception is TransientFailureException or HostException)
            {
                trouble = exception is HostException host ? $"{host.Host}: {host.Message}" : exception.Message;
            }
        }

        throw new ChangeFailedException(
            $"{Key} could not be set to {value} in the dynamic configuration: {trouble}. Where it is {ForNow}, "
                + $"the next apply puts it back; Patroni drops the remaining slots of former members"
        );
    }
}
