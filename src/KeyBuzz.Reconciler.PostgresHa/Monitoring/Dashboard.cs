using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.PostgresHa.Monitoring;

/// <summary>A dashboard of Grafana.</summary>
/// <param name="Kind">What it shows, for its file and its identifier: <c>cluster</c> or <c>hosts</c>.</param>
/// <param name="Title">Its title.</param>
/// <param name="Rows">Its rows, from above.</param>
public sealed record Dashboard(string Kind, string Title, ImmutableArray<DashboardRow> Rows);

/// <summary>Panels below a heading.</summary>
/// <param name="Title">The heading.</param>
/// <param name="Panels">The panels, which stand side by side.</param>
public sealed record DashboardRow(string Title, params ImmutableArray<DashboardPanel> Panels);

/// <summary>A panel.</summary>
/// <param name="Title">What it shows.</param>
/// <param name="Look">How.</param>
/// <param name="Unit">The unit of its numbers, by Grafana's name.</param>
/// <param name="Queries">What it asks, in PromQL, and the name of each series, with labels as <c>{{host}}</c>.</param>
public sealed record DashboardPanel(
    string Title,
    DashboardLook Look,
    string Unit,
    params ImmutableArray<(string Expression, string Legend)> Queries
)
{
    /// <summary>From where on a number is bad; null for none.</summary>
    public decimal? Bound { get; init; }

    /// <summary>Below which a number is bad; null for none.</summary>
    public decimal? Floor { get; init; }

    /// <summary>The words for numbers, and their color; none for the number itself.</summary>
    public ImmutableArray<(string Value, string Text, string Color)> Words { get; init; } = [];
}

/// <summary>How a panel looks.</summary>
public enum DashboardLook
{
    /// <summary>The last number.</summary>
    Stat,

    /// <summary>The last series' name.</summary>
    Name,

    /// <summary>Numbers over time.</summary>
    Graph,

    /// <summary>Words over time.</summary>
    States,
}
