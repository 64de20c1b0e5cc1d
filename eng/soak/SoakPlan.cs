using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Soak;

/// <summary>What can be done to a cluster in a soak.</summary>
public enum SoakKind
{
    /// <summary>Another work_mem by an apply: a reload.</summary>
    WorkMem,

    /// <summary>Another max_connections by an apply: a rolling restart.</summary>
    MaxConnections,

    /// <summary>The members' other image by an apply.</summary>
    Image,

    /// <summary>Another password of the application by an apply.</summary>
    Password,

    /// <summary>The lead is handed over.</summary>
    Switchover,

    /// <summary>kill -9 of PostgreSQL on the leader; Patroni goes on.</summary>
    KillPostmaster,

    /// <summary>SIGKILL of a member's container.</summary>
    KillContainer,

    /// <summary>A member is cut off from everything but SSH.</summary>
    Cut,

    /// <summary>A member is cut off from the other members; HAProxy still reaches it.</summary>
    CutPeers,

    /// <summary>A member's host is turned off and on, in order or as when the plug is pulled.</summary>
    Reboot,

    /// <summary>A proxy's host is turned off, and on again later.</summary>
    ProxyDown,

    /// <summary>SIGKILL of a PgBouncer.</summary>
    KillPooler,

    /// <summary>Two faults in a row, the second before the cluster is whole again.</summary>
    TwoFaults,
}

/// <summary>One step of a soak's plan.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="OnLeader">Whether the leader is meant, where a member is; else a replica.</param>
/// <param name="Variant">A number from 0 that chooses between what is left to choose: the replica, the proxy, the pair of faults.</param>
/// <param name="Seconds">How long a fault lasts that has to be undone.</param>
public sealed record SoakStep(SoakKind Kind, bool OnLeader, int Variant, int Seconds);

/// <summary>A bounded sequence of steps that follows from a seed alone. Pure.</summary>
public static class SoakPlan
{
    /// <summary>The steps: every kind once before any comes again, in an order and with choices that the seed gives.</summary>
    /// <param name="seed">The seed.</param>
    /// <param name="kinds">The kinds that can be done here.</param>
    /// <param name="count">How many steps.</param>
    public static ImmutableArray<SoakStep> Of(int seed, IEnumerable<SoakKind> kinds, int count)
    {
        var all = kinds.Distinct().Order().ToArray();
        var random = new Generator(seed);
        var steps = ImmutableArray.CreateBuilder<SoakStep>(count);
        while (steps.Count < count)
        {
            var round = all.ToArray();
            for (var left = round.Length; left > 1; left--)
            {
                var other = random.Next(left);
                (round[left - 1], round[other]) = (round[other], round[left - 1]);
            }

            foreach (var kind in round.Take(count - steps.Count))
            {
                steps.Add(new SoakStep(kind, random.Next(3) > 0, random.Next(6), 8 + random.Next(13)));
            }
        }

        return steps.ToImmutable();
    }

    // The same sequence on every version of .NET, which System.Random does not promise (xorshift64*).
    private sealed class Generator(int seed)
    {
        private ulong _state = ((ulong)(uint)seed * 0x9E3779B97F4A7C15) ^ 0xD1B54A32D192ED03;

        public int Next(int bound)
        {
            _state ^= _state >> 12;
            _state ^= _state << 25;
            _state ^= _state >> 27;
            return (int)((_state * 0x2545F4914F6CDD1D >> 33) % (ulong)bound);
        }
    }
}
