using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>Docker Engine runs now and after a reboot.</summary>
internal sealed class DockerRunning : PreconditionCheck
{
    private static readonly UnitRead Unit = new("docker.service");

    public override string Kind => "docker";

    public override string Description => "docker.service is active, and starts at boot.";

    public override PreconditionLevel Default => PreconditionLevel.Error;

    public override Read Read(Precondition precondition) => Unit;

    public override Finding? Evaluate(Precondition precondition, Snapshot snapshot)
    {
        var unit = snapshot.Get(Unit);
        if (unit["LoadState"] == "not-found")
        {
            return new Finding(
                "Docker Engine is not installed",
                "there is no unit docker.service",
                "apt-get install -y docker.io && systemctl enable --now docker"
            );
        }

        if (unit["ActiveState"] != "active")
        {
            return new Finding(
                "Docker Engine is not running",
                $"docker.service is {Or(unit["ActiveState"])}",
                "systemctl enable --now docker; where it fails, journalctl -u docker says why"
            );
        }

        return unit["UnitFileState"] is "enabled" or "enabled-runtime" or "static"
            ? null
            : new Finding(
                "Docker Engine would not start at boot",
                $"docker.service is {Or(unit["UnitFileState"])}",
                "systemctl enable docker"
            );
    }

    private static string Or(string state) => state.Length > 0 ? state : "in an unknown state";
}
