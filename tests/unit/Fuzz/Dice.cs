using System.Diagnostics.CodeAnalysis;

namespace KeyBuzz.Reconciler.Tests.Fuzz;

/// <summary>The choices of one input: the same number makes the same input again.</summary>
[SuppressMessage("Security", "CA5394:Do not use insecure randomness", Justification = "It has to be repeatable.")]
internal sealed class Dice(int number)
{
    private readonly Random _random = new(number);

    public int Below(int end) => _random.Next(end);

    public bool OneIn(int sides) => Below(sides) == 0;

    public T Any<T>(IReadOnlyList<T> items) => items[Below(items.Count)];
}
