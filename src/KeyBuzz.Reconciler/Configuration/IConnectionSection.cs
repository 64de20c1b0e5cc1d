using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The connection settings in cluster.yaml: a section of the file, and one of each host.</summary>
public interface IConnectionSection
{
    /// <summary>The key of both.</summary>
    string Key { get; }

    /// <summary>The keys of the section of the file.</summary>
    SectionSchema Schema { get; }

    /// <summary>The keys of the section of a host.</summary>
    SectionSchema HostSchema { get; }

    /// <summary>Reads the settings of all connections.</summary>
    /// <param name="section">The section of the file; null when it has none.</param>
    /// <param name="directory">The folder that relative paths start from.</param>
    /// <param name="environment">The environment variables.</param>
    /// <param name="findings">Receives the errors.</param>
    IConnectionSettings ReadSettings(
        SectionReader? section,
        string directory,
        IReadOnlyDictionary<string, string> environment,
        Findings findings
    );

    /// <summary>Reads how one host is reached.</summary>
    /// <param name="host">Its name.</param>
    /// <param name="address">Its private address; empty if invalid.</param>
    /// <param name="section">The section of the host; null when it has none.</param>
    /// <param name="findings">Receives the errors.</param>
    IHostEndpoint ReadEndpoint(string host, string address, SectionReader? section, Findings findings);
}
