using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>No PostgreSQL data directory lies where only the directory above one is to be: an installation made otherwise, beside whose data an empty database would be made. Asked for by
/// a blueprint, not by cluster.yaml.</summary>
internal sealed class NoDatabaseAt : PreconditionCheck
{
    public override string Kind => "no_database_at";

    public override Read Read(Precondition precondition) => Mark(precondition);

    public override Finding? Evaluate(Precondition precondition, Snapshot snapshot)
    {
        var path = precondition.Settings.String("path");
        return snapshot.Get(Mark(precondition)) is null ? null : new Finding(
            $"{path} is a PostgreSQL data directory itself, and is to be the directory above one",
            $"{path}/PG_VERSION is there; the data directory of cluster.yaml is {precondition.Settings.String("data_directory")}, and a database made there would be empty",
            $"stop PostgreSQL on all members and rename {path} to {precondition.Settings.String("data_directory")}, as docs/adopting.md says");
    }

    private static StatRead Mark(Precondition precondition) => new(precondition.Settings.String("path") + "/PG_VERSION");
}
