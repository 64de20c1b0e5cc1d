using System.Collections.Immutable;
using CsCheck;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Planning;

/// <summary>When a saved plan still holds.</summary>
[TestFixture]
public sealed class PlanBasisTests
{
    private static readonly Address Thing = new("thing", "one", "host-1");
    private static readonly byte[] Key = SavedPlan.KeyOf("a key");
    private static readonly ProviderRegistry Providers = new([new FakeProvider()]);

    /// <summary>One moment: what is wanted, applied and there, each of them one of three values or nothing.</summary>
    private sealed record Moment(string? Desired, string? Last, string? Actual);

    private static readonly Gen<string?> Value = Gen.Int[0, 3].Select(one => one == 3 ? null : ((char)('a' + one)).ToString());
    private static readonly Gen<Moment> Moments = Gen.Select(Value, Value, Value, (desired, last, actual) =>
        new Moment(desired, last, actual)
    );

    [Test]
    public void It_is_up_to_date_exactly_while_desired_applied_and_actual_state_are_the_same()
    {
        Gen.Select(Moments, Moments, Gen.Bool)
            .Slice(
                (then, now, isSecret) =>
                {
                    var holds = Basis(then, isSecret).Changes(Basis(now, isSecret), _ => null).IsEmpty;
                    return holds == (then == now) || (holds && Unseen(then) && Unseen(now));
                },
                count: 3000
            );

        // What is neither wanted nor recorded is not looked at.
        static bool Unseen(Moment moment) => moment.Desired is null && moment.Last is null;
    }

    [Test]
    public void A_change_names_its_kind_and_place()
    {
        var then = new Moment("b", "a", "a");
        Assert.Multiple(() =>
        {
            Assert.That(
                Said(then, then with { Desired = "c" }),
                Is.EqualTo("thing.one@host-1: desired value changed: text (changed since: cluster.yaml)")
            );
            Assert.That(Said(then, then with { Actual = "c" }), Is.EqualTo("thing.one@host-1: text was changed on host-1"));
            Assert.That(Said(then, then with { Actual = null }), Is.EqualTo("thing.one@host-1: it no longer exists on host-1"));
            Assert.That(
                Said(then, then with { Last = "b" }),
                Is.EqualTo("thing.one@host-1: it was applied since (its record on host-1 changed)")
            );
            Assert.That(
                Said(then, then with { Last = null, Actual = null }),
                Is.EqualTo("thing.one@host-1: its record on host-1 is gone; it no longer exists on host-1")
            );
            Assert.That(
                Said(then, then with { Desired = null }),
                Is.EqualTo("thing.one@host-1: it was removed from the configuration (changed since: cluster.yaml)")
            );
        });
    }

    [Test]
    public void A_saved_plan_is_read_as_it_was_written_holds_no_secret_and_bears_no_other_bit()
    {
        Gen.Select(Gen.String[Gen.Char.AlphaNumeric, 8, 40], Gen.Int)
            .Slice(
                (secret, at) =>
                {
                    var plan = new SavedPlan(
                        "lab",
                        "1.0",
                        DateTimeOffset.UnixEpoch,
                        new PlanOptions { Targets = [new AddressPattern("thing.*")] },
                        true,
                        Basis(new Moment(secret, null, null), true),
                        "{}",
                        ["+ thing"]
                    );
                    var bytes = plan.Write(Key);
                    var read = SavedPlan.Read(bytes, "f", "lab", Key);
                    var broken = (byte[])bytes.Clone();
                    broken[Math.Abs(at % broken.Length)] ^= 1;
                    return read.Write(Key).AsSpan().SequenceEqual(bytes)
                        && !System.Text.Encoding.UTF8.GetString(bytes).Contains(secret, StringComparison.Ordinal)
                        && Throws(() => SavedPlan.Read(broken, "f", "lab", Key))
                        && Throws(() => SavedPlan.Read(bytes.AsMemory(0, Math.Abs(at % bytes.Length)), "f", "lab", Key));
                },
                count: 500
            );

        static bool Throws(Action action)
        {
            try
            {
                action();
                return false;
            }
            catch (DiagnosticException)
            {
                return true;
            }
        }
    }

    private static string Said(Moment then, Moment now) => Basis(then, false).Changes(Basis(now, false), _ => null).Single().Summary;

    private static PlanBasis Basis(Moment moment, bool isSecret)
    {
        var desired = moment.Desired is null ? [] : new[] { Resource(moment.Desired, isSecret) };
        var planner = new Planner(Providers, new Fingerprint("a key"));
        var records = moment.Last is null
            ? []
            : planner.Plan(Input([Resource(moment.Last, isSecret)], [], null)).Changes.Select(change => change.Record!);
        var input = Input(desired, records, moment.Actual);
        return PlanBasis.Of(
            input,
            planner.Plan(input),
            Providers,
            Key,
            [KeyValuePair.Create("cluster.yaml", $"{moment.Desired}")],
            [KeyValuePair.Create("host-1", "10.0.0.1")]
        );
    }

    private static Resource Resource(string value, bool isSecret) =>
        new(
            Thing,
            new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("text", new SecretText([new SecretText.Part(value, isSecret)])))
        );

    private static PlanInput Input(IEnumerable<Resource> desired, IEnumerable<ResourceRecord> records, string? actual) =>
        new(
            ResourceGraph.Build(desired, Providers),
            records.ToImmutableDictionary(record => record.Address),
            ImmutableDictionary<Address, Observation>.Empty.Add(
                Thing,
                actual is null
                    ? new Observation.Absent()
                    : new Observation.Present(Comparable.None.Add("text", AttributeValue.OfText(actual)))
            ),
            ImmutableSortedDictionary<string, string>.Empty,
            new PlanOptions { Adopt = [new AddressPattern("thing.*")] }
        );
}
