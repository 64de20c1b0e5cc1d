using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>A resource as it was last applied, and as it was found.</summary>
/// <param name="Record">Its record.</param>
/// <param name="Resource">The resource as it was applied.</param>
/// <param name="Observation">What the host holds; null when it was not read.</param>
internal sealed record AppliedView(ResourceRecord Record, Resource Resource, Observation? Observation);

/// <summary>Tells how resources were last applied. A record masks secrets: they are taken from what is configured, or from the host, where
/// the fingerprints prove that they are still the same.</summary>
internal sealed class AppliedState
{
    private readonly ProviderRegistry _providers;
    private readonly ResourceGraph _configured;
    private readonly Fingerprint _fingerprint;

    /// <summary>Takes what it knows secrets from.</summary>
    /// <param name="providers">The resource types.</param>
    /// <param name="configured">The resources as they are configured now.</param>
    /// <param name="key">The key of fingerprints; null where it is not known.</param>
    public AppliedState(ProviderRegistry providers, ResourceGraph configured, string? key)
    {
        _providers = providers;
        _configured = configured;
        _fingerprint = new Fingerprint(key ?? "");
        HasKey = key is not null;
    }

    /// <summary>Whether the key of fingerprints is known: without it no secret can be compared.</summary>
    public bool HasKey { get; }

    /// <summary>The resource as it was applied; its secrets are those of the configuration, where all are still the same.</summary>
    public Resource Of(ResourceRecord record)
    {
        var resource = record.ToResource();
        if (!HasKey || _configured.Find(record.Address)?.Resource is not { } configured)
        {
            return resource;
        }

        var desired = _providers.Get(record.Address.Type).Desired(configured);
        if (
            record.Fingerprints.Any(pair =>
                Fingerprint.IsSecret(pair.Value) && !(desired.TryGetValue(pair.Key, out var value) && Matches(record, pair.Key, value))
            )
        )
        {
            return resource;
        }

        var spec = resource
            .Spec.Names.Where(name =>
                IsMasked(resource.Spec[name])
                && configured.Spec[name] is SecretText secret
                && secret.ToString() == resource.Spec[name]!.ToString()
            )
            .Aggregate(resource.Spec, (spec, name) => spec.With(name, configured.Spec[name]!));
        return resource with { Spec = spec };
    }

    /// <summary>The resource as it was applied and found. A text that proves to be the applied one has the secrets that the record lacks;
    /// what depends on the whole text, as what a process has loaded, is judged by that.</summary>
    public AppliedView ViewOf(ResourceRecord record, Func<Resource, Observation?> observe)
    {
        var resource = Of(record);
        var observation = observe(resource);
        var proved = (observation as Observation.Present)
            ?.Attributes.Where(pair =>
                pair.Value.IsText
                && resource.Spec[pair.Key] is SecretText text
                && IsMasked(text)
                && !text.HasSecret
                && IsAsApplied(record, text, pair.Key, pair.Value)
            )
            .ToList()
            ?? [];
        if (proved.Count > 0)
        {
            var complete = resource with
            {
                Spec = proved.Aggregate(resource.Spec, (spec, pair) => spec.With(pair.Key, SecretText.Plain(pair.Value.Value))),
            };
            observation = observe(complete);
        }

        return new AppliedView(record, resource, observation);
    }

    /// <summary>Whether a value of an attribute is the one that was applied.</summary>
    public bool Matches(ResourceRecord record, string name, AttributeValue value) =>
        _fingerprint.Matches(record.Fingerprints[name], record.Address, name, value);

    /// <summary>Whether the key is the one of the last apply: one under which no fingerprint comes out, neither of the found nor of the
    /// configured values, is another one.</summary>
    public bool IsRightKey(IEnumerable<AppliedView> views)
    {
        var any = false;
        foreach (var view in views)
        {
            var secret = view.Record.Fingerprints.Where(pair => Fingerprint.IsSecret(pair.Value)).Select(pair => pair.Key).ToList();
            if (secret.Count == 0)
            {
                continue;
            }

            any = true;
            var actual = (view.Observation as Observation.Present)?.Attributes ?? Comparable.None;
            var desired = _configured.Find(view.Record.Address)?.Resource is { } configured
                ? _providers.Get(view.Record.Address.Type).Desired(configured)
                : Comparable.None;
            if (
                secret.Any(name =>
                    (actual.TryGetValue(name, out var there) && Matches(view.Record, name, there))
                    || (desired.TryGetValue(name, out var wanted) && Matches(view.Record, name, wanted))
                )
            )
            {
                return true;
            }
        }

        return !any;
    }

    private bool IsAsApplied(ResourceRecord record, SecretText masked, string name, AttributeValue actual) =>
        record.Fingerprints.TryGetValue(name, out var last)
        && Fingerprint.IsSecret(last)
        && (HasKey ? Matches(record, name, actual) : new SecretTemplate(masked.ToString()).Fits(actual.Value));

    private static bool IsMasked(object? value) =>
        value switch
        {
            SecretText text => text.ToString().Contains(SecretText.Mask, StringComparison.Ordinal),
            string text => text.Contains(SecretText.Mask, StringComparison.Ordinal),
            _ => false,
        };
}
