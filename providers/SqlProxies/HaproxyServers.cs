using KeyBuzz.Reconciler.Providers.Http;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>The servers of HAProxy's statistics, by their backend (https://docs.haproxy.org/3.0/management.html#9.1).</summary>
public static class HaproxyServers
{
    /// <summary>The servers, each as its row.</summary>
    public static ILookup<string?, IReadOnlyDictionary<string, string>> Of(HttpAnswer answer) =>
        CommaTable
            .Read(answer.Body)
            .Where(row => row.GetValueOrDefault("svname") is not (null or "FRONTEND" or "BACKEND"))
            .ToLookup(row => row.GetValueOrDefault("pxname"), StringComparer.Ordinal);

    /// <summary>The name of a server.</summary>
    public static string NameOf(IReadOnlyDictionary<string, string> row) => row["svname"];

    /// <summary>Whether HAProxy sends sessions to it.</summary>
    public static bool IsUp(IReadOnlyDictionary<string, string> row) =>
        row.GetValueOrDefault("status")?.StartsWith("UP", StringComparison.Ordinal) == true;
}
