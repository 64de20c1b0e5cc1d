using System.Globalization;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Renders the systemd unit that supervises a container. It attaches to it, so that the container's end is the unit's, and the unit starts it again.</summary>
internal static class ContainerUnit
{
    /// <param name="description">What it runs.</param>
    /// <param name="container">The container.</param>
    /// <param name="stopTimeout">How long the container is given to stop.</param>
    /// <param name="mountPoint">A file system that must be mounted: on an unmounted one an empty database would be made on the root disk. Null for none.</param>
    public static string Render(string description, string container, TimeSpan stopTimeout, string? mountPoint)
    {
        var seconds = (long)stopTimeout.TotalSeconds;
        var mount = mountPoint is null ? "" : $"RequiresMountsFor={mountPoint}\nAssertPathIsMountPoint={mountPoint}\n";
        return string.Create(CultureInfo.InvariantCulture,
            $"""
            # Written by kbr; a change by hand is drift.
            [Unit]
            Description={description}
            After=docker.service network-online.target
            Wants=network-online.target
            Requires=docker.service
            {mount}StartLimitIntervalSec=0

            [Service]
            ExecStart=/usr/bin/docker start --attach {container}
            ExecStop=/usr/bin/docker stop --time {seconds} {container}
            Restart=always
            RestartSec=1
            TimeoutStopSec={seconds + 10}

            [Install]
            WantedBy=multi-user.target

            """);
    }
}
