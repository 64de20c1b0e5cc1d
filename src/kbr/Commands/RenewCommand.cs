using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr renew</c>: an apply of the certificates that are due, and of nothing else, for a timer. It needs no secret but the
/// authority and the key of fingerprints.</summary>
internal static class RenewCommand
{
    private const string NewAuthority = "if TLS_AUTHORITY was replaced, give this machine the new one; otherwise run kbr apply";

    public static Command Create(SessionContext context)
    {
        var all = new Option<bool>("--all", "--force") { Description = "Also renew certificates that are not due." };
        var command = new Command(
            "renew",
            "Renew the certificates that are due, and finish interrupted renewals. Changes nothing else, restarts nothing, does not ask. "
                + "Exit 0 done or nothing due, 1 failed."
        )
        {
            all,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, abort) =>
            {
                var (json, withAll) = (parsed.Read(context.Options.Json), parsed.Read(all));
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                RefuseMissingSecrets(cluster);
                var expired = Expired(cluster, context.Time.GetUtcNow());
                var plan = new Plan([], [], []);
                await using (var session = context.Open(parsed, terminal, cluster))
                {
                    if (cluster.Resources.Any(resource => resource.Address.Type == CertificateProvider.Type))
                    {
                        plan = (await session.PlanAsync(Only(), stop).ConfigureAwait(false)).Plan;
                    }
                }

                PlannedChange[] wanted = [.. plan.Changes.Where(change => IsDue(change) || (withAll && Exists(change)))];
                PlannedChange[] foreign = [.. wanted.Where(change => IssuerOf(change) is not null)];
                PlannedChange[] due = [.. wanted.Except(foreign).Where(change => !expired.Of.Contains(change.Address))];
                Diagnostic[] left = [.. expired.Errors, .. foreign.Length > 0 ? [OfAnotherAuthority(foreign)] : Array.Empty<Diagnostic>()];
                if (due.Length == 0 && json)
                {
                    terminal.Line(
                        JsonView.PlanDocument(
                            cluster.Name,
                            plan with
                            {
                                Changes = [.. plan.Changes.Where(change => change.Action == ResourceAction.NoOp)],
                            },
                            [.. plan.Diagnostics, .. left]
                        )
                    );
                }

                var result = ExitCode.Done;
                if (due.Length > 0)
                {
                    result = await ApplyCommand
                        .RenewAsync(
                            context,
                            parsed,
                            terminal,
                            cluster,
                            Only(due) with
                            {
                                Replace = [.. due.Where(change => !IsDue(change)).Select(change => change.Address)],
                            },
                            stop,
                            abort
                        )
                        .ConfigureAwait(false);
                }

                if (!json)
                {
                    Show(terminal, plan, wanted, due, result);
                }

                if (left.Length > 0 && (due.Length > 0 || !json))
                {
                    CommandContext.Show(terminal, left, json);
                }

                return plan.HasErrors || left.Length > 0 ? ExitCode.Error : result;
            }));
        return command;
    }

    // Those named, or all; and not what they need.
    private static PlanOptions Only(params PlannedChange[] changes) =>
        new()
        {
            Targets =
                changes.Length == 0
                    ? [new AddressPattern(CertificateProvider.Type + ".*")]
                    : [.. changes.Select(change => new AddressPattern(change.Address.ToString()))],
            TargetsOnly = true,
        };

    // One that was written and not loaded is a renewal that was interrupted.
    private static bool IsDue(PlannedChange change) =>
        change.Action == ResourceAction.Update
        && change.Differences.Any(difference =>
            difference.Name is CertificateProvider.Renewal or CertificateProvider.Loaded or CertificateProvider.Served
        );

    // What the host's certificate says of its issuer where that is not this machine's authority; null elsewhere. A copy of the secret may
    // be one that was replaced, and then nobody trusts what it signs.
    private static AttributeDifference? IssuerOf(PlannedChange change) =>
        change.Differences.FirstOrDefault(difference => difference is { Name: CertificateProvider.Issuer, Before.Value.Length: > 0 });

    private static Diagnostic OfAnotherAuthority(PlannedChange[] changes) =>
        Diagnostic.Error(
            "certificates of another authority than this machine's were not renewed",
            detail: string.Join("\n  ", changes.Select(change => $"{change.Address}: {IssuerOf(change)!.Before?.Value}"))
                + $"\n  this machine's: {IssuerOf(changes[0])!.After?.Value}",
            remedy: NewAuthority
        );

    private static bool Exists(PlannedChange change) => change.Action is ResourceAction.NoOp or ResourceAction.Update;

    private static void Show(Terminal terminal, Plan plan, PlannedChange[] wanted, PlannedChange[] due, int result)
    {
        foreach (var change in plan.Effective.Where(change => !wanted.Contains(change) && change.Action != ResourceAction.Adopt))
        {
            terminal.Line(
                IssuerOf(change) is not null
                    ? $"{change.Address} was issued by another authority than this machine's, and was left as it is: {NewAuthority}"
                    : $"{change.Address} differs otherwise, and was left as it is"
                        + $"{(change.Differences.IsEmpty ? "" : $" ({string.Join(", ", change.Differences.Select(one => one.Name))})")}: kbr plan shows it"
            );
        }

        if (due.Length == 0)
        {
            DiagnosticView.Show(terminal, plan.Diagnostics);
            terminal.Line(
                plan.Changes.IsEmpty ? "There are no certificates to renew."
                : wanted.Length > 0 ? $"None of {plan.Changes.Length} certificates was renewed."
                : plan.HasErrors ? $"None of {plan.Changes.Length} certificates that could be read is due."
                : $"None of {plan.Changes.Length} certificates is due."
            );
        }
        else
        {
            DiagnosticView.Show(terminal, [.. plan.Errors]);
            if (result == ExitCode.Done)
            {
                terminal.Line($"Renewed or loaded: {due.Length} of {plan.Changes.Length} certificates.");
            }
        }
    }

    private static void RefuseMissingSecrets(Cluster cluster)
    {
        if (cluster.Secrets.Find(Secrets.KeyName) is null)
        {
            throw Missing($"secret {Secrets.KeyName} has no value");
        }

        foreach (var resource in cluster.Resources)
        {
            if (resource.Address.Type == CertificateProvider.Type && CertificateProvider.TroubleOfAuthority(resource) is { } trouble)
            {
                throw Missing($"the authority of {resource.Address} cannot sign: {trouble}");
            }
        }
    }

    // Nothing is left to do where every authority has expired; the certificates of another one are renewed all the same.
    private static (Diagnostic[] Errors, HashSet<Address> Of) Expired(Cluster cluster, DateTimeOffset now)
    {
        Diagnostic[] errors = [.. AuthorityEnds.Of(cluster, now).Where(finding => finding.Severity == Severity.Error)];
        Resource[] certificates = [.. cluster.Resources.Where(resource => resource.Address.Type == CertificateProvider.Type)];
        HashSet<Address> expired =
        [
            .. certificates
                .Where(resource => CertificateProvider.EndOfAuthority(resource, now)?.Severity == Severity.Error)
                .Select(resource => resource.Address),
        ];
        return errors.Length > 0 && expired.Count == certificates.Length ? throw new DiagnosticException(errors) : (errors, expired);
    }

    private static DiagnosticException Missing(string what) =>
        new(Diagnostic.Error(what, remedy: $"kbr renew needs the authority's secret and {Secrets.KeyName}, and no other secret"));
}
