using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Performs steps, tells the progress, and keeps how each ended; from several threads at once.</summary>
/// <param name="progress">Receives the progress.</param>
/// <param name="secrets">Secrets, which no reason may hold.</param>
/// <param name="time">The clock, for elapsed times.</param>
public sealed class StepLog(IApplyProgress progress, Secrets secrets, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly List<IPlannedStep> _begun = [];
    private readonly List<IPlannedStep> _done = [];
    private readonly List<(IPlannedStep Step, string Reason)> _failed = [];
    private readonly List<(IPlannedStep Step, string Reason)> _skipped = [];
    private readonly List<(IPlannedStep Step, string Reason)> _left = [];
    private readonly List<IPlannedStep> _halfway = [];

    /// <summary>How the steps ended until now. A step that was begun and has not ended has failed: the walk broke off.</summary>
    public ApplyResult Result()
    {
        lock (_gate)
        {
            HashSet<IPlannedStep> ended = new(
                [.. _done, .. _failed.Select(one => one.Step), .. _left.Select(one => one.Step)],
                ReferenceEqualityComparer.Instance
            );
            IEnumerable<(IPlannedStep, string)> unfinished = _begun
                .Where(step => !ended.Contains(step))
                .Select(step => (step, "kbr broke off"));
            return new ApplyResult([.. _done.OfType<PlannedChange>()], [.. _failed, .. unfinished], [.. _skipped])
            {
                Left = [.. _left],
                LeftHalfway = [.. _halfway],
                BroughtToHealth = [.. _done.OfType<PlannedGroup>()],
            };
        }
    }

    /// <summary>Performs a step. Answers null when it is done, otherwise why it failed.</summary>
    /// <param name="step">The step.</param>
    /// <param name="make">Makes it; answers null when it succeeded.</param>
    /// <param name="excuse">Answers why a failure may come from what is left for later: then the step is left, too. Null for
    /// never.</param>
    public async Task<string?> PerformAsync(IPlannedStep step, Func<Task<string?>> make, Func<string?>? excuse = null)
    {
        ArgumentNullException.ThrowIfNull(make);
        var begun = time.GetTimestamp();
        lock (_gate)
        {
            _begun.Add(step);
        }

        progress.Started(step);
        string? error;
        try
        {
            error = await make().ConfigureAwait(false);
        }
        catch (ChangeHeldException exception)
        {
            return LeaveHalfway(step, exception.Message);
        }
        catch (Exception exception) when (exception is HostException or ChangeFailedException)
        {
            error = exception.Message;
        }
        catch (OperationCanceledException)
        {
            error = "interrupted";
            excuse = null;
        }
        catch (Exception exception)
            when (exception
                    is InvalidOperationException
                        or InvalidDataException
                        or IOException
                        or UnauthorizedAccessException
                        or KeyNotFoundException
            )
        {
            // A fault in one provider, or an unreadable local file, stops this change and its dependents, not the rest.
            error = $"the change failed: {exception.Message}";
        }

        var elapsed = time.GetElapsedTime(begun);
        if (error is not null)
        {
            return excuse?.Invoke() is { } left ? LeaveHalfway(step, $"{secrets.Mask(error)}; {left}") : Fail(step, elapsed, error);
        }

        lock (_gate)
        {
            _done.Add(step);
        }

        progress.Done(step, elapsed);
        return null;
    }

    /// <summary>A step that failed before it could be made. Answers why, without secrets.</summary>
    public string FailAtOnce(IPlannedStep step, string error)
    {
        progress.Started(step);
        return Fail(step, TimeSpan.Zero, error);
    }

    /// <summary>A step is skipped. Answers why.</summary>
    public string Skip(IPlannedStep step, string reason)
    {
        if (step is PlannedChange { Action: ResourceAction.NoOp, Deferred: false })
        {
            return reason;
        }

        lock (_gate)
        {
            _skipped.Add((step, reason));
        }

        progress.Skipped(step, reason);
        return reason;
    }

    /// <summary>A step is left for the next maintenance window. Answers why.</summary>
    public string Leave(IPlannedStep step, string reason)
    {
        lock (_gate)
        {
            _left.Add((step, reason));
        }

        progress.Left(step, reason);
        return reason;
    }

    /// <summary>A change that disrupts members of a group and was left for the next maintenance window; null for none.</summary>
    public IPlannedStep? FindLeftOf(string group)
    {
        lock (_gate)
        {
            return _left.Find(one => one.Step is PlannedChange change && change.Disrupts == group).Step;
        }
    }

    /// <summary>The same of a step of which a part may be made.</summary>
    public string LeaveHalfway(IPlannedStep step, string reason)
    {
        lock (_gate)
        {
            _halfway.Add(step);
        }

        return Leave(step, secrets.Mask(reason));
    }

    /// <summary>The step of that address that was left for the next maintenance window; null for none.</summary>
    public IPlannedStep? FindLeft(Address address)
    {
        lock (_gate)
        {
            return _left.Find(one => one.Step.Address == address).Step;
        }
    }

    /// <summary>Why a step is skipped whose dependency did not succeed. A dependency without a change of its own has neither failed nor was
    /// it skipped: then its own dependency is the reason.</summary>
    /// <param name="dependency">The dependency.</param>
    /// <param name="reason">What the dependency answered.</param>
    public string ReasonToSkip(Address dependency, string reason)
    {
        bool IsIn(List<(IPlannedStep Step, string Reason)> steps) => steps.Exists(one => one.Step.Address == dependency);
        lock (_gate)
        {
            return dependency.Type == GroupPolicy.Type && (IsIn(_failed) || IsIn(_skipped)) ? $"{dependency.Host} was not brought to health"
                : IsIn(_failed) ? $"its dependency {dependency} failed"
                : IsIn(_skipped) ? $"its dependency {dependency} was skipped"
                : reason;
        }
    }

    private string Fail(IPlannedStep step, TimeSpan elapsed, string error)
    {
        error = secrets.Mask(error);
        lock (_gate)
        {
            _failed.Add((step, error));
        }

        progress.Failed(step, elapsed, error);
        return error;
    }
}
