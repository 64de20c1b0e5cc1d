namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary><c>registry_login</c>: the registry of the section's images asks for a password.</summary>
internal sealed class PrivateRegistryTests : BlueprintFixture
{
    private const string Login = "registry_login: { server: registry.example.com, name: deploy, password: \"${secret.REGISTRY_PASS}\" }";

    [Test]
    public void Every_image_of_the_registry_is_pulled_with_the_login_and_archives_have_none()
    {
        Environment["REGISTRY_PASS"] = "canary-of-the-registry";
        var archived = Changed(
            $"haproxy: {{ image: \"registry.example.com/kbr/haproxy:3{Digest}\" }}",
            $"haproxy: {{ image: {{ archive: h.tar, name: 'kbr/haproxy:3', id: '{Digest[1..]}' }} }}"
        );
        var cluster = Load(archived + $"  {Login}\n");
        foreach (var image in new[] { "image.patroni@db-slave-02", "image.pgbouncer@haproxy-01" })
        {
            var spec = Find(cluster, image).Spec;
            Assert.That(spec.OptionalString("registry_user"), Is.EqualTo("deploy"));
            Assert.That(spec.Text("registry_password")!.HasSecret);
            Assert.That(spec.Text("registry_password")!.Reveal(), Is.EqualTo("canary-of-the-registry"));
        }

        Assert.That(Find(cluster, "image.haproxy@haproxy-01").Spec.Has("registry_user"), Is.False);
        Assert.That(Find(Minimal, "image.patroni@db-slave-02").Spec.Has("registry_user"), Is.False);
    }

    [Test]
    public void An_image_of_another_registry_is_pulled_without_the_login()
    {
        Environment["REGISTRY_PASS"] = "canary-of-the-registry";
        var cluster = Load(Changed($"registry.example.com/kbr/haproxy:3{Digest}", $"haproxy:3{Digest}") + $"  {Login}\n");

        Assert.That(Find(cluster, "image.haproxy@haproxy-01").Spec.Has("registry_user"), Is.False, "it is of Docker's own registry");
        Assert.That(Find(cluster, "image.pgbouncer@haproxy-01").Spec.OptionalString("registry_user"), Is.EqualTo("deploy"));
    }

    [Test]
    public void The_password_stands_among_the_secrets_and_is_said_once()
    {
        var error = OnlyError(With("registry_login: { server: registry.example.com, name: deploy, password: plainly-written }"));
        Assert.That(error, Does.Contain("'password' must be ${secret.NAME}").And.Not.Contain("(plainly-written"));
        Assert.That(
            OnlyError(With("registry_login: { server: registry.example.com, password: \"${secret.POSTGRES_APP_PASS}\" }")),
            Does.Contain("name")
        );
    }
}
