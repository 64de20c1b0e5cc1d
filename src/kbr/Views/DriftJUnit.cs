using System.Globalization;
using System.Text;
using System.Xml;
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
        using var stream = new MemoryStream();
        using (
            var xml = XmlWriter.Create(
                stream,
                new XmlWriterSettings
                {
                    Indent = true,
                    Encoding = new UTF8Encoding(false),
                    NewLineChars = "\n",
                }
            )
        )
        {
            xml.WriteStartElement("testsuites");
            xml.WriteAttributeString("name", Valid($"kbr drift {report.Cluster}".TrimEnd()));
            WriteCounts(xml, suites.SelectMany(suite => suite));
            foreach (var suite in suites)
            {
                xml.WriteStartElement("testsuite");
                xml.WriteAttributeString("name", Valid(suite.Key));
                WriteCounts(xml, suite);
                xml.WriteAttributeString("time", "0");
                xml.WriteAttributeString("timestamp", report.At.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss", CultureInfo.InvariantCulture));
                foreach (var one in suite.OrderBy(one => one.Name, StringComparer.Ordinal))
                {
                    WriteCase(xml, one);
                }

                xml.WriteEndElement();
            }

            xml.WriteEndElement();
        }

        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
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

    private static void WriteCounts(XmlWriter xml, IEnumerable<Case> cases)
    {
        var results = cases.CountBy(one => one.Result ?? "").ToDictionary(StringComparer.Ordinal);
        xml.WriteAttributeString("tests", Number(results.Values.Sum()));
        xml.WriteAttributeString("failures", Number(results.GetValueOrDefault("failure")));
        xml.WriteAttributeString("errors", Number(results.GetValueOrDefault("error")));
        xml.WriteAttributeString("skipped", Number(results.GetValueOrDefault("skipped")));
    }

    private static void WriteCase(XmlWriter xml, Case one)
    {
        xml.WriteStartElement("testcase");
        xml.WriteAttributeString("name", Valid(one.Name));
        xml.WriteAttributeString("classname", Valid($"kbr.drift.{one.Suite}"));
        xml.WriteAttributeString("time", "0");
        if (one.Result is not null)
        {
            xml.WriteStartElement(one.Result);
            xml.WriteAttributeString("message", Valid(one.Message));
            if (one.Result != "skipped")
            {
                xml.WriteAttributeString("type", one.Result == "failure" ? "drift" : "error");
            }

            xml.WriteString(Valid(one.Body));
            xml.WriteEndElement();
        }
        else if (one.Body.Length > 0)
        {
            xml.WriteElementString("system-out", Valid(one.Body));
        }

        xml.WriteEndElement();
    }

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);

    // XML has no way to write most control characters, not even escaped.
    private static string Valid(string text)
    {
        var valid = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]))
            {
                valid.Append(text, i++, 2);
            }
            else
            {
                valid.Append(XmlConvert.IsXmlChar(text[i]) ? text[i] : '\uFFFD');
            }
        }

        return valid.ToString();
    }
}
