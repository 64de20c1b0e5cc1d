using System.Globalization;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Renders the systemd unit that supervises a container. It attaches to it, so that the container's end is the unit's, and the
/// unit starts it again.</summary>
/// <remarks> The unit does not require Docker Engine's: a stop of the engine would stop the unit, and no start of the engine would start it
/// again. It waits for the engine and never starts it, so an engine that an operator or a package upgrade has stopped stays stopped. Where
/// containers outlive the engine (live-restore) the client ends and the container does not: the unit then attaches to it again, because its
/// stop command does nothing when the client has ended by itself.
/// </remarks>
internal static class ContainerUnit
{
    /// <param name="description">What it runs.</param>
    /// <param name="container">The container.</param>
    /// <param name="stopTimeout">How long the container is given to stop.</param>
    /// <param name="mountPoint">A file system that must be mounted: while unmounted, an empty database would be created on the root disk.
    /// Null for none.</param>
    /// <param name="afterStop">A command of the host, without quotes, for after each end of the container; null for none.</param>
    public static string Render(string description, string container, TimeSpan stopTimeout, string? mountPoint, string? afterStop = null)
    {
        var after = afterStop is null ? "" : $"ExecStopPost=-/bin/sh -c '{afterStop}'\n";
        var seconds = (long)stopTimeout.TotalSeconds;
        var mount = mountPoint is null ? "" : $"RequiresMountsFor={mountPoint}\nAssertPathIsMountPoint={mountPoint}\n";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"""
            # Written by kbr; a change by hand is drift.
            [Unit]
            Description={description}
            After=docker.service network-online.target
            Wants=network-online.target
            {mount}StartLimitIntervalSec=0

            [Service]
            ExecStartPre=/bin/systemctl is-active --quiet docker.service
            ExecStart=/usr/bin/docker start --attach {container}
            ExecStop=/bin/sh -c 'test -z "$$MAINPID" || exec /usr/bin/docker stop --time {seconds} {container}'
            {after}Restart=always
            RestartSec=1
            TimeoutStopSec={seconds + 10}

            [Install]
            WantedBy=multi-user.target

            """
        );
    }
}
