using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Drift as JUnit XML, which CI systems show as test results: a suite per host, a case per resource. Drift fails its case, ignored
/// drift is a skipped case, and an incomplete comparison an error.</summary>
public static class DriftJUnit
{
    /// <summary>The document.</summary>
    public static string Render(DriftReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        var suites = Cases(report).GroupBy(one => one.Suite).OrderBy(suite => suite.Key, StringComparer.Ordinal).ToList();
        var xml = new XmlText().Start("testsuites").Attribute("name", $"kbr drift {report.Cluster}".TrimEnd());
        WriteCounts(xml, suites.SelectMany(suite => suite));
        foreach (var suite in suites)
        {
            xml.Start("testsuite").Attribute("name", suite.Key);
            WriteCounts(xml, suite);
            xml.Attribute("time", "0")
                .Attribute("timestamp", report.At.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss", CultureInfo.InvariantCulture));
            foreach (var one in suite.OrderBy(one => one.Name, StringComparer.Ordinal))
            {
                WriteCase(xml, one);
            }

            xml.End();
        }

        return xml.End().ToString();
    }

    // Result is the element that says how it ended; null for a case that passed.
    private sealed record Case(string Suite, string Name, string? Result, string Message, string Body);

    private static IEnumerable<Case> Cases(DriftReport report)
    {
        var found = report.Findings.ToDictionary(finding => finding.Address);
        foreach (var address in report.Compared)
        {
            if (!found.TryGetValue(address, out var finding))
            {
                yield return new Case(address.Host, address.ToString(), null, "", Partly(address.ToString()));
                continue;
            }

            var what = finding.Deleted
                ? "deleted on the host"
                : "changed on the host: "
                    + string.Join(
                        ", ",
                        finding.Details.Where(detail => !finding.Counts || detail.Ignored is null).Select(detail => detail.Attribute)
                    );
            yield return finding.Counts
                ? new Case(address.Host, address.ToString(), "failure", what, DriftDetails.Text(finding))
                : new Case(address.Host, address.ToString(), "skipped", $"{what}; ignored: {finding.Ignored}", "");
        }

        foreach (var one in report.Uncompared.Where(one => one.Attribute is null))
        {
            yield return new Case(
                one.Address.Host,
                one.Address.ToString(),
                one.IsError ? "error" : "skipped",
                $"not compared: {one.Reason}",
                ""
            );
        }

        // Errors of a resource were shown with it.
        var told = report.Uncompared.Where(one => one.IsError).Select(one => one.Address.ToString()).ToHashSet(StringComparer.Ordinal);
        foreach (
            var error in report.Diagnostics.Where(diagnostic =>
                diagnostic.Severity == Severity.Error && (diagnostic.Address is null || !told.Contains(diagnostic.Address))
            )
        )
        {
            yield return new Case(
                error.Host ?? "kbr",
                error.Summary,
                "error",
                error.Summary,
                string.Join('\n', new[] { error.Location?.ToString(), error.Detail, error.Remedy }.OfType<string>())
            );
        }

        string Partly(string address) =>
            string.Join(
                '\n',
                report
                    .Uncompared.Where(one => one.Attribute is not null && one.Address.ToString() == address)
                    .Select(one => $"{one.Attribute} not compared: {one.Reason}")
            );
    }

    private static void WriteCounts(XmlText xml, IEnumerable<Case> cases)
    {
        var results = cases.CountBy(one => one.Result ?? "").ToDictionary(StringComparer.Ordinal);
        xml.Attribute("tests", Number(results.Values.Sum()))
            .Attribute("failures", Number(results.GetValueOrDefault("failure")))
            .Attribute("errors", Number(results.GetValueOrDefault("error")))
            .Attribute("skipped", Number(results.GetValueOrDefault("skipped")));
    }

    private static void WriteCase(XmlText xml, Case one)
    {
        xml.Start("testcase").Attribute("name", one.Name).Attribute("classname", $"kbr.drift.{one.Suite}").Attribute("time", "0");
        if (one.Result is not null)
        {
            xml.Start(one.Result).Attribute("message", one.Message);
            if (one.Result != "skipped")
            {
                xml.Attribute("type", one.Result == "failure" ? "drift" : "error");
            }

            xml.Text(one.Body).End();
        }
        else if (one.Body.Length > 0)
        {
            xml.Start("system-out").Text(one.Body).End();
        }

        xml.End();
    }

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);
}
