using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Compares the attributes of a resource with their last applied values, by fingerprint; a text around its secrets where those are
/// not known.</summary>
/// <param name="providers">The resource types.</param>
/// <param name="applied">How resources were last applied.</param>
internal sealed class AttributeDrift(ProviderRegistry providers, AppliedState applied)
{
    private enum SecretVerdict
    {
        Same,
        Changed,
        Unknown,
    }

    /// <summary>Compares them.</summary>
    /// <param name="view">The resource as applied and found.</param>
    /// <param name="present">What was found.</param>
    /// <param name="input">The inputs.</param>
    /// <param name="keyed">Whether secrets can be compared by fingerprint.</param>
    /// <returns>The attributes that changed, and those that could not be compared.</returns>
    public (ImmutableArray<DriftedAttribute> Changed, ImmutableArray<Uncompared> Uncompared) Compare(
        AppliedView view,
        Observation.Present present,
        DriftInput input,
        bool keyed
    )
    {
        var address = view.Record.Address;
        var desired = providers.Get(address.Type).Desired(view.Resource);
        var changed = ImmutableArray.CreateBuilder<DriftedAttribute>();
        var uncompared = ImmutableArray.CreateBuilder<Uncompared>();
        foreach (var (name, last) in view.Record.Fingerprints)
        {
            var actual = present.Attributes.GetValueOrDefault(name);
            var known = desired.GetValueOrDefault(name);
            if (known is not null && !applied.Matches(view.Record, name, known))
            {
                known = null;
            }

            if (!Fingerprint.IsSecret(last))
            {
                if (actual is null || !applied.Matches(view.Record, name, actual))
                {
                    var before = known ?? (last.StartsWith('=') ? new AttributeValue(last[1..]) : null);
                    changed.Add(new DriftedAttribute(name, before, actual, input.Ignoring(address, name)));
                }

                continue;
            }

            var template =
                actual is { IsText: true } && view.Resource.Spec[name] is SecretText text ? new SecretTemplate(text.ToString()) : null;
            switch (CompareSecret(view.Record, name, actual, known, template, keyed))
            {
                case SecretVerdict.Changed:
                    changed.Add(Shown(name, actual, known, template, input.Ignoring(address, name)));
                    break;
                case SecretVerdict.Unknown:
                    var why = keyed
                        ? "its secret changed, or has no value here; it can be compared again after the next apply"
                        : $"secret values are compared only with {Secrets.KeyName}";
                    uncompared.Add(new Uncompared(address, name, why, IsError: false));
                    break;
            }
        }

        return (changed.ToImmutable(), uncompared.ToImmutable());
    }

    private SecretVerdict CompareSecret(
        ResourceRecord record,
        string name,
        AttributeValue? actual,
        AttributeValue? known,
        SecretTemplate? template,
        bool keyed
    )
    {
        if (keyed && actual is not null && applied.Matches(record, name, actual))
        {
            return SecretVerdict.Same;
        }

        // A text is compared by its characters. Of what only proves a secret, such as the verifier of a password, several are right, and
        // without the secret they cannot be compared.
        if (keyed)
        {
            return template is not null || known is not null ? SecretVerdict.Changed : SecretVerdict.Unknown;
        }

        return template is { IsOpaque: false } && !template.Fits(actual!.Value) ? SecretVerdict.Changed : SecretVerdict.Unknown;
    }

    private static DriftedAttribute Shown(
        string name,
        AttributeValue? actual,
        AttributeValue? known,
        SecretTemplate? template,
        IgnoreRule? ignored
    )
    {
        if (template is null)
        {
            var hidden = new AttributeValue(SecretText.Mask);
            return new DriftedAttribute(name, hidden, actual is null ? null : hidden, ignored);
        }

        // With its secrets known a text is masked by them; without, what may hold one stays hidden.
        return known?.Secret is not null
            ? new DriftedAttribute(name, known, actual, ignored)
            : new DriftedAttribute(name, template.Masked, template.Redact(actual!.Value), ignored);
    }
}
