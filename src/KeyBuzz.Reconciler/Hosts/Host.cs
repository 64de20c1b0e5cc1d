namespace KeyBuzz.Reconciler.Hosts;

/// <summary>A host as cluster.yaml names it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Role">Its role, for example <c>db</c>; resources can be placed by it.</param>
/// <param name="Address">Its private address, used between hosts.</param>
/// <param name="Endpoint">How to reach it.</param>
public sealed record Host(string Name, string Role, string Address, IHostEndpoint Endpoint);

/// <summary>The endpoint of a host. Only the code that opens connections knows more of it.</summary>
public interface IHostEndpoint
{
    /// <summary>Its place in output; empty for none.</summary>
    string Place { get; }

    /// <summary>The same for two endpoints that lead to the same place.</summary>
    string Key { get; }

    /// <summary>The TCP port that connections to it are made to, unless a <see cref="IHostRoutes"/> knows better; 0 for none.</summary>
    int Port { get; }
}

/// <summary>The endpoint of a group, which is no single host.</summary>
public sealed record NoEndpoint : IHostEndpoint
{
    string IHostEndpoint.Place => "";

    string IHostEndpoint.Key => "";

    int IHostEndpoint.Port => 0;
}

/// <summary>Settings of all connections. Only the code that opens them knows more of it.</summary>
public interface IConnectionSettings;
