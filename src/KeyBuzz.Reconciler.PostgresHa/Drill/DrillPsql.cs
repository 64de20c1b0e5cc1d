using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Drill;

/// <summary>SQL through one way where servers refuse a login without TLS: a login of its own for each statement, by psql on a proxy.
/// </summary>
/// <param name="login">How to log in.</param>
/// <param name="way">The way.</param>
/// <param name="group">The hosts, whose locks are held.</param>
/// <param name="proxy">The proxy.</param>
internal sealed class DrillPsql(TlsLogin login, DrillWay way, IGroupAccess group, string proxy)
{
    /// <summary>Runs SQL. Answers what psql printed, a line each. Throws <see cref="InvalidOperationException"/> with what it said
    /// otherwise.</summary>
    public async Task<string[]> RunAsync(string sql, CancellationToken cancellationToken)
    {
        ScriptResult result;
        try
        {
            var shell = login.Render(way.Address, way.Port, "kbr drill " + way.Name, sql, "KBR_PASSWORD");
            result = await group.RunAsync(proxy, new Script(shell), cancellationToken).ConfigureAwait(false);
        }
        catch (HostException exception)
        {
            throw new InvalidOperationException(exception.Message, exception);
        }

        return result.ExitCode == 0
            ? result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            : throw new InvalidOperationException((result.Output + result.Error).Trim());
    }

    /// <summary>The rows among those lines: their values have a tab between them.</summary>
    public static List<string[]> Rows(string[] lines)
    {
        var rows = new List<string[]>();
        foreach (var line in lines)
        {
            if (line.Contains('\t', StringComparison.Ordinal))
            {
                rows.Add(line.Split('\t'));
            }
        }

        return rows;
    }

    /// <summary>Whether the server warned.</summary>
    public static bool Warns(string[] lines) => Array.Exists(lines, line => line.StartsWith("WARNING:", StringComparison.Ordinal));
}
