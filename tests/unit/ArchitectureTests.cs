using System.Reflection;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests;

/// <summary>Dependencies point inward: kbr → PostgresHa, Ssh → providers → engine.</summary>
[TestFixture]
public sealed class ArchitectureTests
{
    private static readonly Assembly Engine = typeof(Planner).Assembly;
    private static readonly Assembly Ssh = typeof(SshConnector).Assembly;
    private static readonly Assembly Providers = typeof(Registration).Assembly;
    private static readonly Assembly PostgresHa = typeof(PostgresBlueprint).Assembly;

    [Test]
    public void The_engine_knows_no_ssh_no_provider_and_no_command_line() =>
        Assert.That(References(Engine), Has.None.StartsWith("KeyBuzz.").And.None.StartsWith("Renci").And.None.StartsWith("Npgsql").And.None.StartsWith("System.CommandLine").And.None.EqualTo("kbr"));

    [Test]
    public void Ssh_and_the_providers_know_the_engine_and_not_each_other() =>
        Assert.Multiple(() =>
        {
            Assert.That(References(Ssh).Where(IsOurs), Is.EqualTo(new[] { "KeyBuzz.Reconciler" }));
            Assert.That(References(Providers).Where(IsOurs), Is.EqualTo(new[] { "KeyBuzz.Reconciler" }));
            Assert.That(References(Providers), Has.None.StartsWith("Renci"));
        });

    [Test]
    public void The_blueprint_knows_the_engine_and_the_providers_and_no_ssh() =>
        Assert.Multiple(() =>
        {
            Assert.That(References(PostgresHa).Where(IsOurs), Is.EquivalentTo(new[] { "KeyBuzz.Reconciler", "KeyBuzz.Reconciler.Providers" }));
            Assert.That(References(PostgresHa), Has.None.StartsWith("Renci"));
        });

    [Test]
    public void Planning_sees_no_host_and_no_file()
    {
        var types = Engine.GetTypes().Where(type => type.Namespace == "KeyBuzz.Reconciler.Planning");
        var fields = types.SelectMany(type => type.GetFields(BindingFlags.Instance | BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public));
        Assert.That(fields.Select(field => field.FieldType.Namespace), Has.None.EqualTo("KeyBuzz.Reconciler.Hosts").And.None.EqualTo("System.IO"));
    }

    private static bool IsOurs(string name) => name.StartsWith("KeyBuzz.", StringComparison.Ordinal) || name == "kbr";

    private static IEnumerable<string> References(Assembly assembly) => assembly.GetReferencedAssemblies().Select(name => name.Name!);
}
