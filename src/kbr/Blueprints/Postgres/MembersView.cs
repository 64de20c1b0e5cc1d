using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>A member as it is listed.</summary>
/// <param name="Host">The host, which is also Patroni's name of it.</param>
/// <param name="Address">Its private address, with the port of PostgreSQL.</param>
/// <param name="Said">What its Patroni says.</param>
/// <param name="Error">Why the host could not be read; null when it was.</param>
internal sealed record ListedMember(string Host, string Address, PatroniMember Said, string? Error)
{
    /// <summary>Whether an operator fenced it.</summary>
    public bool IsFenced { get; init; }

    /// <summary>Its role; null without an answer.</summary>
    public string? Role =>
        !Said.Answers ? null
        : Said.Leads ? "primary"
        : Said.IsSynchronous ? "sync replica"
        : "replica";

    /// <summary>Its state in a word or two.</summary>
    public string State =>
        Error is not null ? "unreachable"
        : IsFenced
            ? Said.Answers ? "fenced, still runs"
                : "fenced"
        : !Said.Answers ? "no answer"
        : Said is { IsRunning: true, Leads: false, Replication: { } replication } ? replication
        : Said.State ?? "unknown";
}

/// <summary>The members as a table and as JSON.</summary>
internal static class MembersView
{
    private const int LongestWord = 40;

    /// <summary>The members in the order of cluster.yaml.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="health">What the members say.</param>
    /// <param name="errors">By host, why it could not be read; null when it was.</param>
    public static ImmutableArray<ListedMember> Of(
        PostgresTopology topology,
        PatroniHealth health,
        IReadOnlyDictionary<string, string?> errors
    ) =>
        [
            .. topology.Members.Select(host => new ListedMember(
                host.Name,
                string.Create(CultureInfo.InvariantCulture, $"{host.Address}:{topology.Ports.Postgres}"),
                health.Members.FirstOrDefault(member => member.Name == host.Name) ?? new PatroniMember(host.Name),
                errors.GetValueOrDefault(host.Name)
            )
            {
                IsFenced = health.Fenced.ContainsKey(host.Name),
            }),
        ];

    /// <summary>Shows the table, and below it why hosts could not be read.</summary>
    public static void Show(Terminal terminal, ImmutableArray<ListedMember> members)
    {
        string[][] rows =
        [
            ["MEMBER", "ADDRESS", "ROLE", "STATE", "TIMELINE", "LAG", "VERSION", "PENDING RESTART"],
            .. members.Select(Row),
        ];
        var widths = Enumerable.Range(0, rows[0].Length).Select(column => rows.Max(row => row[column].Length)).ToList();
        foreach (var (number, row) in rows.Index())
        {
            var line = string.Join("  ", row.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd();
            terminal.Line(
                line,
                number == 0 ? Terminal.Tone.Bold
                    : members[number - 1].Role is null ? Terminal.Tone.Removed
                    : Terminal.Tone.Plain
            );
        }

        foreach (var member in members.Where(member => member.Error is not null))
        {
            terminal.ErrorLine($"Error: {member.Host}: {member.Error}", Terminal.Tone.Removed);
        }
    }

    /// <summary>The members as a JSON document.</summary>
    public static string Document(string scope, ImmutableArray<ListedMember> members) => JsonView.Document("members", json =>
        {
            json.WriteString("scope", scope);
            json.WriteStartArray("members");
            foreach (var member in members)
            {
                var said = member.Said;
                json.WriteStartObject();
                json.WriteString("member", said.Name);
                json.WriteString("host", member.Host);
                json.WriteString("address", member.Address);
                json.WriteString("role", member.Role?.Replace(' ', '_'));
                json.WriteString("state", Word(member.State));
                WriteNumber("timeline", said.Timeline);
                WriteNumber("lag_bytes", said.LagBytes);
                json.WriteString("version", said.ServerVersion);
                json.WriteStartArray("pending_restart");
                foreach (var parameter in said.PendingRestart)
                {
                    json.WriteStringValue(parameter);
                }

                json.WriteEndArray();
                json.WriteString("error", member.Error);
                json.WriteEndObject();
            }

            json.WriteEndArray();

            void WriteNumber(string name, long? value)
            {
                if (value is { } number)
                {
                    json.WriteNumber(name, number);
                }
                else
                {
                    json.WriteNull(name);
                }
            }
        });

    private static string[] Row(ListedMember member)
    {
        var said = member.Said;
        return
        [
            member.Host,
            member.Address,
            member.Role ?? "?",
            Word(member.State),
            said.Timeline?.ToString(CultureInfo.InvariantCulture) ?? "?",
            said.Leads ? "-"
            : said.LagBytes is { } lag ? BackupWords.Size(lag)
            : "?",
            said.ServerVersion ?? "?",
            said.PendingRestart.IsEmpty ? "-" : Word(string.Join(", ", said.PendingRestart)),
        ];
    }

    // A host's word must not break the table.
    private static string Word(string text)
    {
        var word = string.Concat(text.Select(c => char.IsControl(c) ? '\uFFFD' : c));
        return word.Length > LongestWord ? word[..(LongestWord - 1)] + "…" : word;
    }
}
