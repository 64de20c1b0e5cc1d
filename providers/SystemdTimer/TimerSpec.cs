using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.SystemdUnit;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SystemdTimer;

/// <summary>A timer as declared.</summary>
/// <param name="Name">Its name and its service's, without a suffix.</param>
/// <param name="Schedule">When it elapses, as systemd's OnCalendar has it.</param>
/// <param name="Service">The file of the service that it starts.</param>
/// <param name="Enabled">Whether it runs, also after a boot.</param>
internal sealed record TimerSpec(string Name, ImmutableArray<string> Schedule, SecretText Service, bool Enabled)
{
    public static TimerSpec Of(Resource resource)
    {
        var spec = resource.Spec;
        return new TimerSpec(
            spec.OptionalString("unit") ?? resource.Address.Name,
            [.. spec.List("schedule")],
            spec.Text("service") ?? SecretText.Plain(""),
            spec.Boolean("enabled")
        );
    }

    /// <summary>The timer's unit.</summary>
    public UnitDefinition TimerUnit => new(Name + ".timer", []);

    /// <summary>The service's unit.</summary>
    public UnitDefinition ServiceUnit => new(Name + ".service", []);

    /// <summary>The timer's file. A run that was missed while the host was down is made up for after its boot.</summary>
    public string Timer =>
        $"""
            # Written by kbr; a change by hand is drift.
            [Unit]
            Description=Starts {ServiceUnit.Unit}

            [Timer]
            {string.Join('\n', Schedule.Select(time => $"OnCalendar={time}"))}
            Persistent=true
            AccuracySec=1s

            [Install]
            WantedBy=timers.target

            """;
}
