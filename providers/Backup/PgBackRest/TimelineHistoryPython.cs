namespace KeyBuzz.Reconciler.Providers.Backup.PgBackRest;

/// <summary><see cref="TimelineHistory"/> in Python, for the programs that run in the members' containers.</summary>
internal static class TimelineHistoryPython
{
    /// <summary>Its functions.</summary>
    public const string Text = """"
        def position(lsn):
            return (int(lsn.split("/")[0], 16) << 32) + int(lsn.split("/")[1], 16)


        def number(segment):
            return int(segment[8:16], 16) * 256 + int(segment[16:24], 16)


        def ends_of(history):
            """The end of each earlier timeline, by PostgreSQL's history file of the present one."""
            lines = [line.split() for line in history.splitlines()]
            return {int(words[0]): position(words[1]) for words in lines if len(words) > 1 and words[0].isdigit() and "/" in words[1]}


        def is_of(backup, timeline, ends):
            """Whether a backup is of the database on that timeline, and not of one that a restore or a failover has discarded."""
            own = int(backup["archive"]["stop"][:8], 16)
            return own == timeline or (own in ends and position(backup["lsn"]["stop"]) <= ends[own])


        def timeline_at(segment, timeline, ends):
            """The timeline that has that segment of its database; the one in which a timeline ends is of the next one."""
            chain = sorted(ends) + [timeline]
            fit = [own for before, own in zip(chain, chain[1:]) if ends[before] >> 24 <= segment]
            return fit[-1] if fit else chain[0]
        """";
}
