namespace KeyBuzz.Reconciler.Tests;

/// <summary>The parts of these tests that <c>eng/test.sh</c> runs beside each other.</summary>
internal static class Suites
{
    /// <summary>What kbr puts on hosts, run for real: a cluster of three in containers, HAProxy, PgBouncer, the programs of backups.
    /// They touch nothing of the machine that other tests use.</summary>
    public const string Programs = "programs";
}
