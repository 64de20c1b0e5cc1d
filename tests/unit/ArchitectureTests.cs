using System.Reflection;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Surveying;
using KeyBuzz.Reconciler.Tests.Cli;

namespace KeyBuzz.Reconciler.Tests;

/// <summary>Dependencies point inward: kbr → PostgresHa, Ssh → providers → engine.</summary>
[TestFixture]
public sealed partial class ArchitectureTests
{
    private static readonly Assembly Engine = typeof(Planner).Assembly;
    private static readonly Assembly Ssh = typeof(SshConnector).Assembly;
    private static readonly Assembly Providers = typeof(Registration).Assembly;
    private static readonly Assembly PostgresHa = typeof(PostgresBlueprint).Assembly;

    [Test]
    public void The_engine_knows_no_ssh_no_provider_and_no_command_line() =>
        Assert.That(
            References(Engine),
            Has.None.StartsWith("KeyBuzz.")
                .And.None.StartsWith("Renci")
                .And.None.StartsWith("Npgsql")
                .And.None.StartsWith("System.CommandLine")
                .And.None.EqualTo("kbr")
        );

    [Test]
    public void Ssh_and_the_providers_know_the_engine_and_not_each_other() =>
        Assert.Multiple(() =>
        {
            Assert.That(References(Ssh).Where(IsManaged), Is.EqualTo(new[] { "KeyBuzz.Reconciler" }));
            Assert.That(References(Providers).Where(IsManaged), Is.EqualTo(new[] { "KeyBuzz.Reconciler" }));
            Assert.That(References(Providers), Has.None.StartsWith("Renci"));
        });

    [Test]
    public void The_blueprint_knows_the_engine_and_the_providers_and_no_ssh() =>
        Assert.Multiple(() =>
        {
            Assert.That(
                References(PostgresHa).Where(IsManaged),
                Is.EquivalentTo(new[] { "KeyBuzz.Reconciler", "KeyBuzz.Reconciler.Providers" })
            );
            Assert.That(References(PostgresHa), Has.None.StartsWith("Renci"));
        });

    [Test]
    public void Planning_sees_no_host_and_no_file()
    {
        var types = Engine.GetTypes().Where(type => type.Namespace == "KeyBuzz.Reconciler.Planning");
        var fields = types.SelectMany(type =>
            type.GetFields(BindingFlags.Instance | BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public)
        );
        Assert.That(
            fields.Select(field => field.FieldType.Namespace),
            Has.None.EqualTo("KeyBuzz.Reconciler.Hosts").And.None.EqualTo("System.IO")
        );
    }

    [Test]
    public void Drift_holds_no_type_that_can_change_a_host()
    {
        Type[] changing =
        [
            typeof(IHostWriter),
            typeof(IHostConnection),
            typeof(IHostConnector),
            typeof(IGroupAccess),
            typeof(ITunnel),
            typeof(Fleet),
            typeof(Applier),
        ];
        var drift = WithinReach("DriftSession", "DriftCommand", "ReadOnlyContext");
        Assert.Multiple(() =>
        {
            Assert.That(drift, Does.Contain(typeof(IHostReader)));
            Assert.That(drift.Intersect(changing), Is.Empty);
            Assert.That(
                WithinReach("Session"),
                Is.SupersetOf(new[] { typeof(IHostWriter), typeof(IHostConnection), typeof(Fleet) }),
                "what holds them is seen to"
            );
        });
    }

    // A run's survey, input and plan are returned values (PlannedRun): what a command works on stands in it.
    [Test]
    public void Neither_a_session_nor_a_reader_remembers_what_it_returned()
    {
        Type[] types = [typeof(Session), typeof(DriftSession), typeof(RecordsSession), typeof(FleetReader), typeof(Applier)];
        var fields = types
            .SelectMany(type => type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
            .ToList();
        Assert.Multiple(() =>
        {
            Assert.That(fields.Select(field => field.FieldType), Does.Contain(typeof(Cluster)));
            Assert.That(fields.Where(field => !field.IsInitOnly && !IsParameter(field)), Is.Empty);
        });

        // As the compiler names a parameter of a primary constructor that is kept.
        static bool IsParameter(FieldInfo field) => field.Name.EndsWith(">P", StringComparison.Ordinal);
    }

    [Test]
    public void Only_its_folder_and_the_composition_root_name_a_blueprint()
    {
        var root = Path.Combine(JsonSchemas.Root, "src/kbr");
        var naming = Directory
            .EnumerateFiles(root, "*.cs", SearchOption.AllDirectories)
            .Where(file => NamesPostgres().IsMatch(File.ReadAllText(file)))
            .Select(file => Path.GetRelativePath(root, file))
            .ToLookup(file => file.StartsWith("Blueprints/Postgres/", StringComparison.Ordinal));
        Assert.That(naming[true], Is.Not.Empty);
        Assert.That(naming[false], Is.EqualTo(new[] { "Commands/KbrCommandLine.cs" }));
    }

    [GeneratedRegex("Postgres|Patroni|PgBouncer|HAProxy")]
    private static partial Regex NamesPostgres();

    // HostPath protects the directories of packages, and ClockRead has systemd's word for a kind of virtual machine.
    [Test]
    public void The_engine_names_no_product()
    {
        string[] products = ["docker", "container", "postgres", "patroni", "haproxy", "pgbouncer", "raft"];
        var naming = Directory
            .EnumerateFiles(Path.Combine(JsonSchemas.Root, "src", "KeyBuzz.Reconciler"), "*.cs", SearchOption.AllDirectories)
            .Where(file => products.Any(product => File.ReadAllText(file).Contains(product, StringComparison.OrdinalIgnoreCase)))
            .Select(Path.GetFileName);
        Assert.That(naming, Is.EquivalentTo(new[] { "HostPath.cs", "ClockRead.cs" }));
    }

    // Without ICU Npgsql prepares none, and a password that SASLprep changes would be refused.
    [Test]
    public void Npgsql_gets_prepared_passwords_only()
    {
        var given = new[] { "src", "providers" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(JsonSchemas.Root, folder), "*.cs", SearchOption.AllDirectories))
            .Select(File.ReadAllText)
            .Where(text => text.Contains("new NpgsqlConnectionStringBuilder", StringComparison.Ordinal) || GivesSettings().IsMatch(text))
            .SelectMany(text => GivesPassword().Matches(text).Select(found => found.Value))
            .ToList();
        Assert.That(given, Has.Count.EqualTo(3).And.All.EqualTo("Password = SaslPrep.Prepare("));
    }

    [GeneratedRegex(@"NpgsqlConnectionStringBuilder \w+\(")]
    private static partial Regex GivesSettings();

    [GeneratedRegex(@"\bPassword = [\w.]+\(?")]
    private static partial Regex GivesPassword();

    // The compiler checks every other rule of .editorconfig, and `dotnet format whitespace` the layout.
    [Test]
    public void Usings_are_in_the_formatters_order()
    {
        var sources = new[] { "src", "providers", "tests" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(JsonSchemas.Root, folder), "*.cs", SearchOption.AllDirectories))
            .ToList();
        Assert.That(sources, Has.Count.GreaterThan(100));
        Assert.That(
            sources.Where(source =>
                Usings(source) is var usings
                && !usings.SequenceEqual(
                    usings.OrderBy(IsStatic).ThenBy(name => !IsOfSystem(name)).ThenBy(name => name, StringComparer.OrdinalIgnoreCase)
                )
            ),
            Is.Empty
        );

        static List<string> Usings(string source) =>
            [
                .. File.ReadLines(source)
                    .TakeWhile(line => line.StartsWith("using ", StringComparison.Ordinal))
                    .Select(line => line["using ".Length..].TrimEnd(';')),
            ];
        static bool IsStatic(string name) => name.StartsWith("static ", StringComparison.Ordinal);
        static bool IsOfSystem(string name) => name == "System" || name.StartsWith("System.", StringComparison.Ordinal);
    }

    // What commands hold and are made of, and what that hands out; of ours only.
    private static HashSet<Type> WithinReach(params string[] commands)
    {
        const BindingFlags Own =
            BindingFlags.Instance | BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.DeclaredOnly;
        var reached = new HashSet<Type>();
        var open = new Stack<Type>(
            commands.Select(name => typeof(Terminal).Assembly.GetType("KeyBuzz.Reconciler.Cli.Commands." + name, throwOnError: true)!)
        );
        while (open.TryPop(out var type))
        {
            foreach (var part in type.HasElementType ? [type.GetElementType()!] : type.GenericTypeArguments)
            {
                open.Push(part);
            }

            if (!IsManaged(type.Assembly.GetName().Name!) || !reached.Add(type))
            {
                continue;
            }

            var next = type.GetFields(Own)
                .Select(field => field.FieldType)
                .Concat(
                    type.GetConstructors(Own)
                        .SelectMany(constructor => constructor.GetParameters())
                        .Select(parameter => parameter.ParameterType)
                )
                .Concat(type.GetMethods(Own).Where(method => method.IsPublic).Select(method => method.ReturnType))
                .Concat(type.GetNestedTypes(Own))
                .Concat(type.GetInterfaces())
                .Append(type.BaseType)
                .OfType<Type>();
            foreach (var one in next)
            {
                open.Push(one);
            }
        }

        return reached;
    }

    private static bool IsManaged(string name) => name.StartsWith("KeyBuzz.", StringComparison.Ordinal) || name == "kbr";

    private static IEnumerable<string> References(Assembly assembly) => assembly.GetReferencedAssemblies().Select(name => name.Name!);
}
