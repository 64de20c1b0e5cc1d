using System.Buffers;
using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.Tests.Configuration;

public sealed class SecretsTests
{
    private const string Odd = "kb+2024&\"prod<é";

    [Test]
    public void A_secret_is_masked_in_text_and_in_json_which_stays_json()
    {
        // The first is the beginning of the second.
        var secrets = new Secrets(
            ImmutableSortedDictionary<string, string>.Empty.Add("A", "kb+2024&").Add("B", Odd).Add("C", "it's\\a\n😀")
        );

        Assert.That(secrets.Mask($"{Odd} kb+2024&! kb+2024"), Is.EqualTo("(secret) (secret)! kb+2024"));
        using var document = JsonDocument.Parse(secrets.Mask(Json($"<{Odd}>", "kb+2024&!", "it's\\a\n😀", "+&<\"é")));
        Assert.That(
            document.RootElement.EnumerateArray().Select(value => value.GetString()),
            Is.EqualTo(new[] { "<(secret)>", "(secret)!", "(secret)", "+&<\"é" })
        );
    }

    [Test]
    public void There_is_no_character_that_json_writes_otherwise_than_it_is_masked()
    {
        var missed = Enumerable
            .Range(0, 0x10000)
            .Where(code => !char.IsSurrogate((char)code))
            .Select(code => $"one{(char)code}two")
            .Where(secret =>
                new Secrets(ImmutableSortedDictionary<string, string>.Empty.Add("A", secret)).Mask(Json(secret)) != "[\"(secret)\"]"
            );
        Assert.That(missed, Is.Empty);
    }

    private static string Json(params string[] values)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            foreach (var value in values)
            {
                json.WriteStringValue(value);
            }

            json.WriteEndArray();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
