using System.Reflection;
using KeyBuzz.Reconciler.Planning;

namespace KeyBuzz.Reconciler.Tests;

/// <summary>The folders of the engine form layers: each uses only those before it.</summary>
[TestFixture]
public sealed class LayerTests
{
    private const string Root = "KeyBuzz.Reconciler.";

    // docs/architecture.md and CONTRIBUTING.md name them in this order.
    private static readonly string[] s_layers =
    [
        "Diagnostics",
        "Hosts",
        "Resources",
        "Records",
        "Graph",
        "Configuration",
        "Surveying",
        "Planning",
        "Applying",
    ];

    private static readonly Assembly s_engine = typeof(Planner).Assembly;

    [Test]
    public void Every_type_of_the_engine_is_in_a_layer() =>
        Assert.That(Types().Select(LayerOf).Distinct(), Is.EquivalentTo(s_layers), "a new folder needs a place in the order of the layers");

    [Test]
    public void A_layer_uses_only_those_before_it()
    {
        var upward =
            from type in Types()
            from used in TypeReferences.Of(type).Where(used => used.Assembly == s_engine)
            where Array.IndexOf(s_layers, LayerOf(used)) > Array.IndexOf(s_layers, LayerOf(type))
            select $"{Short(type)} uses {Short(used)}";
        Assert.That(upward.Distinct().Order(StringComparer.Ordinal), Is.Empty);
    }

    [TestCase(typeof(Samples.Inherits))]
    [TestCase(typeof(Samples.HasField))]
    [TestCase(typeof(Samples.HasGenericField))]
    [TestCase(typeof(Samples.TakesParameter))]
    [TestCase(typeof(Samples.Returns))]
    [TestCase(typeof(Samples.Constrains<>))]
    [TestCase(typeof(Samples.Creates))]
    [TestCase(typeof(Samples.CallsStatic))]
    [TestCase(typeof(Samples.Catches))]
    [TestCase(typeof(Samples.NamesType))]
    [TestCase(typeof(Samples.CallsGeneric))]
    public void References_are_found_in_declarations_signatures_and_code(Type type) =>
        Assert.That(TypeReferences.Of(type), Does.Contain(typeof(Samples.Used)));

    // The compiler finds them before System.Linq's only in a namespace around all others.
    [Test]
    public void Only_the_sequences_stand_below_all_layers()
    {
        var root = s_engine.GetTypes().Where(type => type is { Namespace: "KeyBuzz.Reconciler", IsNested: false });
        Assert.That(root, Is.EqualTo(new[] { typeof(Sequences) }));
    }

    // Types that the compiler makes for the whole assembly stand in no namespace of ours.
    private static IEnumerable<Type> Types() =>
        s_engine.GetTypes().Where(type => type.Namespace is { } name && name.StartsWith(Root, StringComparison.Ordinal));

    private static string LayerOf(Type type) =>
        type.Namespace is { } name && name.StartsWith(Root, StringComparison.Ordinal) ? name[Root.Length..] : "";

    private static string Short(Type type) => type.FullName!.Replace(Root, "", StringComparison.Ordinal);

    private static class Samples
    {
        internal class Used : Exception
        {
            public static int Count => 1;
        }

        internal sealed class Inherits : Used;

        internal sealed class HasField
        {
            public Used? Value { get; init; }
        }

        internal sealed class HasGenericField
        {
            public List<Used[]> Values { get; } = [];
        }

        internal sealed class TakesParameter
        {
            public static void Take(Used? _) { }
        }

        internal sealed class Returns
        {
            public static Used? Give() => null;
        }

        internal sealed class Constrains<T>
            where T : Used
        {
            public static T? Nothing => null;
        }

        internal sealed class Creates
        {
            public static string Text() => new Used().Message;
        }

        internal sealed class CallsStatic
        {
            public static int Count() => Used.Count;
        }

        internal sealed class Catches
        {
            public static void Run(Action action)
            {
                try
                {
                    action();
                }
                catch (Used) { }
            }
        }

        internal sealed class NamesType
        {
            public static string Name() => typeof(Used).Name;
        }

        internal sealed class CallsGeneric
        {
            public static int Count(IEnumerable<object> all) => all.OfType<Used>().Count();
        }
    }
}
