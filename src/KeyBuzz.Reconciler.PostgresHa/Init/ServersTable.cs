using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.PostgresHa.Init;

/// <summary>Reads servers.tsv: a header line, then a machine a line, in cells separated by tabs.</summary>
public static class ServersTable
{
    private const string Name = "HOSTNAME";
    private const string Address = "IP_PRIVEE";
    private const string User = "USER_SSH";
    private const string Role = "ROLE";
    private const string SubRole = "SUBROLE";
    private const string Stack = "DOCKER_STACK";
    private const string Environment = "ENV";
    private const string MemberStack = "patroni-node";
    private const string ProxyStack = "internal-haproxy";

    private static readonly string[] s_needed = [Name, Address, Stack];

    /// <summary>Whether a text has the header of such a file.</summary>
    public static bool IsOne(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Lines(text).Select(line => line.Text).FirstOrDefault(line => !IsEmpty(line)) is { } header
            && Cells(header).Contains(Stack, StringComparer.OrdinalIgnoreCase);
    }

    /// <summary>Takes the members and proxies out of it; everything wrong with it is noted.</summary>
    /// <param name="text">The file.</param>
    /// <param name="file">Its name as the operator knows it.</param>
    /// <param name="findings">Where to note it.</param>
    public static InitSelection Select(string text, string file, Findings findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        var rows = Rows(text, file, findings);
        var members = rows.Where(row => row.Is(Stack, MemberStack)).ToList();
        var proxies = rows.Where(row => row.Is(Stack, ProxyStack) || row.Is(SubRole, ProxyStack)).Except(members).ToList();
        if (members.Count == 0 && rows.Count > 0)
        {
            findings.Error(
                $"no row of {file} has {Stack} {MemberStack}",
                null,
                $"it has {string.Join(", ", rows.Select(row => row[Stack]).Where(stack => stack.Length > 0).Distinct().Order())}",
                "correct the file, or name the hosts: --members, --proxies"
            );
        }

        Environments([.. members, .. proxies], findings);
        Doubles(rows, [.. members, .. proxies], findings);
        return new InitSelection(
            [.. members.Select((row, number) => Host(row, "db", number, findings))],
            [.. proxies.Select((row, number) => Host(row, "lb", number, findings))],
            Notes(rows, members, proxies)
        )
        {
            Name = "keybuzz-pg",
        };
    }

    private static ImmutableArray<string> Notes(IReadOnlyList<Row> rows, IReadOnlyList<Row> members, IReadOnlyList<Row> proxies)
    {
        var left = rows.Except(members).Except(proxies).ToList();
        var single = left.Where(row => row.Is(Role, "db") && row.Is(SubRole, "postgres")).ToList();
        var balancers = left.Where(row => row.Is(Role, "lb") || row[SubRole].Contains("haproxy", StringComparison.OrdinalIgnoreCase))
            .ToList();
        return
        [
            $"Members: {Names(members)}; {Stack} is {MemberStack}.",
            $"Proxies: {Names(proxies)}; {Stack} or {SubRole} is {ProxyStack}.",
            .. single.Select(row => $"Left: {row[Name]}, a single PostgreSQL machine: {Stack} is {Shown(row[Stack])}, not {MemberStack}."),
            .. balancers.Select(row =>
                $"Left: {row[Name]} ({row[Address]}): neither {Stack} nor {SubRole} is {ProxyStack}. Is it the load balancer? "
                + $"--load-balancer {row[Address]} takes it."
            ),
            .. left.Except(single).Except(balancers).ToList() is { Count: > 0 } others
                ?
                [
                    $"Left: {others.Count} of other roles: "
                        + string.Join(
                            ", ",
                            others
                                .GroupBy(row => row[Role].Length > 0 ? row[Role] : row[Stack])
                                .OrderByDescending(group => group.Count())
                                .ThenBy(group => group.Key, StringComparer.Ordinal)
                                .Select(group => $"{Shown(group.Key)} {group.Count()}")
                        )
                        + ".",
                ]
                : ImmutableArray<string>.Empty,
        ];
    }

    private static string Names(IReadOnlyList<Row> rows) => rows.Count == 0 ? "none" : string.Join(", ", rows.Select(row => row[Name]));

    private static string Shown(string cell) => cell.Length == 0 ? "empty" : cell;

    private static InventoryHost Host(Row row, string role, int number, Findings findings)
    {
        if (row[Name].Length == 0)
        {
            findings.Error($"this row has no {Name}", row.At, null, "give the machine its name");
        }

        if (row[Address].Length == 0)
        {
            findings.Error($"{Shown(row[Name])} has no {Address}", row.At, null, "give its private address");
        }
        else if (NetworkAddress.Problem(row[Address]) is { } problem)
        {
            findings.Error($"bad {Address} '{row[Address]}' of {Shown(row[Name])}", row.At, problem);
        }

        return new InventoryHost(HostNames.Of(row[Name], role, number + 1), row.At)
        {
            Address = row[Address],
            User = row[User] is "" or "root" ? null : row[User],
        };
    }

    private static void Environments(IReadOnlyList<Row> taken, Findings findings)
    {
        var environments = taken.Select(row => row[Environment]).Where(cell => cell.Length > 0).Distinct().Order().ToList();
        if (environments.Count > 1)
        {
            findings.Error(
                $"the rows are of {environments.Count} environments: {string.Join(", ", environments)}",
                taken.First(row => row[Environment] != taken[0][Environment]).At,
                "one file describes one cluster",
                "pass a file with the rows of one of them"
            );
        }
    }

    // Also with a row that is not taken: then one of both is wrong.
    private static void Doubles(IReadOnlyList<Row> rows, IReadOnlyCollection<Row> taken, Findings findings)
    {
        foreach (var column in new[] { Name, Address })
        {
            foreach (
                var same in rows.Where(row => row[column].Length > 0)
                    .GroupBy(row => row[column], StringComparer.OrdinalIgnoreCase)
                    .Where(group => group.Count() > 1 && group.Any(taken.Contains))
            )
            {
                findings.Error(
                    $"{column} {same.Key} is in lines {string.Join(" and ", same.Select(row => row.At.Line))}",
                    same.Last().At,
                    null,
                    "correct or remove one of them"
                );
            }
        }
    }

    private static List<Row> Rows(string text, string file, Findings findings)
    {
        var rows = new List<Row>();
        string[]? header = null;
        foreach (var (line, number) in Lines(text))
        {
            if (IsEmpty(line))
            {
                continue;
            }

            var at = new SourceLocation(file, number, 1, "");
            var cells = Cells(line);
            if (header is null)
            {
                header = [.. cells.Select(cell => cell.ToUpperInvariant())];
                var missing = s_needed.Except(header).ToList();
                if (missing.Count > 0)
                {
                    findings.Error(
                        $"the header has no {string.Join(" and no ", missing)}",
                        at,
                        line.Contains('\t', StringComparison.Ordinal) ? null : "it has no tab: the cells are separated by tabs",
                        "the columns are ENV, IP_PUBLIQUE, HOSTNAME, IP_PRIVEE, FQDN, USER_SSH, POOL, ROLE, SUBROLE, DOCKER_STACK, CORE, NOTES"
                    );
                    return [];
                }

                foreach (var twice in header.GroupBy(cell => cell).Where(group => group.Key.Length > 0 && group.Count() > 1))
                {
                    findings.Error($"the header has {twice.Key} twice", at, null, "remove one of them");
                }

                continue;
            }

            if (cells.Count > header.Length)
            {
                findings.Error(
                    $"this row has {cells.Count} cells, and the header has {header.Length}",
                    at,
                    null,
                    "remove the tabs that are too many, or put a cell with tabs in double quotes"
                );
                continue;
            }

            rows.Add(new Row(at, header, cells));
        }

        if (header is null)
        {
            findings.Error($"{file} is empty", null, null, "it needs a header line and a row for each machine");
        }

        return rows;
    }

    private static IEnumerable<(string Text, int Number)> Lines(string text) =>
        text.TrimStart('\uFEFF').Split('\n').Select((line, index) => (line.TrimEnd('\r'), index + 1));

    private static bool IsEmpty(string line) => line.Trim() is "" or ['#', ..];

    // As spreadsheets write them: a cell in double quotes may hold tabs, and a quote stands twice in it.
    private static List<string> Cells(string line)
    {
        var cells = new List<string>();
        for (var at = 0; at <= line.Length; )
        {
            if (at < line.Length && line[at] == '"' && End(line, at) is { } end)
            {
                cells.Add(line[(at + 1)..end].Replace("\"\"", "\"", StringComparison.Ordinal).Trim());
                at = end + 2;
                continue;
            }

            var tab = line.IndexOf('\t', at);
            tab = tab < 0 ? line.Length : tab;
            cells.Add(line[at..tab].Trim());
            at = tab + 1;
        }

        return cells;
    }

    // The quote that ends a cell; null where the cell only begins with one.
    private static int? End(string line, int from)
    {
        for (var at = from + 1; at < line.Length; at++)
        {
            if (line[at] != '"')
            {
                continue;
            }

            if (at + 1 < line.Length && line[at + 1] == '"')
            {
                at++;
                continue;
            }

            return at + 1 == line.Length || line[at + 1] == '\t' ? at : null;
        }

        return null;
    }

    private sealed record Row(SourceLocation At, string[] Header, List<string> Cells)
    {
        public string this[string column] => Array.IndexOf(Header, column) is >= 0 and var at && at < Cells.Count ? Cells[at] : "";

        public bool Is(string column, string value) => string.Equals(this[column], value, StringComparison.OrdinalIgnoreCase);
    }
}
