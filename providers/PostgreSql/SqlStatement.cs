namespace KeyBuzz.Reconciler.Providers.PostgreSql;

/// <summary>One statement of a change, or a query whose rows are the statements to run: so that what cannot be made conditional in SQL,
/// such as CREATE DATABASE, can be left out.</summary>
/// <param name="Sql">One line of SQL without a semicolon at its end.</param>
/// <param name="IsGenerator">Whether its rows, of one text column, are statements to run.</param>
internal sealed record SqlStatement(string Sql, bool IsGenerator)
{
    /// <summary>A statement that is run.</summary>
    public static SqlStatement Run(string sql) => new(sql, false);

    /// <summary>A statement without secrets that is run where a condition holds.</summary>
    /// <param name="sql">The statement.</param>
    /// <param name="condition">A truth in SQL, for example <c>NOT EXISTS (SELECT …)</c>.</param>
    public static SqlStatement RunWhere(string sql, string condition) =>
        new($"SELECT {SqlText.Literal(sql)}::text WHERE {condition}", true);
}
