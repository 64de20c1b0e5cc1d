using System.Collections.Concurrent;
using System.IO.Compression;
using Microsoft.Win32.SafeHandles;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Local files compressed by gzip: once a run, however many hosts they are sent to.</summary>
internal static class CompressedFiles
{
    private static readonly ConcurrentDictionary<FileVersion, Lazy<Task<SafeFileHandle?>>> s_files = [];

    /// <summary>Opens the compressed content of a file; the file itself where there is no room for that. Both are what a reader of gzip
    /// files that also takes plain ones, such as <c>docker load</c>, reads.</summary>
    public static async Task<Stream> OpenAsync(string path, CancellationToken cancellationToken)
    {
        var file = new FileInfo(path);
        var compressed = s_files
            .GetOrAdd(new FileVersion(file.FullName, file.Length, file.LastWriteTimeUtc), key => new Lazy<Task<SafeFileHandle?>>(() =>
                Task.Run(() => CompressAsync(key.Path), CancellationToken.None)
            ))
            .Value;
        return await compressed.WaitAsync(cancellationToken).ConfigureAwait(false) is { } handle
            ? new SharedFile(handle)
            : File.OpenRead(path);
    }

    // Its name is gone before anything is in it, so nothing is left behind by a killed run. /tmp may be memory.
    private static async Task<SafeFileHandle?> CompressAsync(string path)
    {
        SafeFileHandle? handle = null;
        try
        {
            var place = Path.Combine(Directory.Exists("/var/tmp") ? "/var/tmp" : Path.GetTempPath(), $"kbr-{Guid.NewGuid():n}.gz");
            handle = File.OpenHandle(place, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            File.Delete(place);
            using var source = File.OpenRead(path);
            using var target = new SharedFile(handle);
            using (var gzip = new GZipStream(target, CompressionLevel.Fastest))
            {
                await source.CopyToAsync(gzip, 1 << 20).ConfigureAwait(false);
            }

            return handle;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            handle?.Dispose();
            return null;
        }
    }

    // A place of its own in a file that others read, too, and that stays open for them.
    private sealed class SharedFile(SafeFileHandle handle) : Stream
    {
        private long _position;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => RandomAccess.GetLength(handle);

        public override long Position
        {
            get => _position;
            set => throw new NotSupportedException();
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var count = await RandomAccess.ReadAsync(handle, buffer, _position, cancellationToken).ConfigureAwait(false);
            _position += count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            var read = RandomAccess.Read(handle, buffer.AsSpan(offset, count), _position);
            _position += read;
            return read;
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await RandomAccess.WriteAsync(handle, buffer, _position, cancellationToken).ConfigureAwait(false);
            _position += buffer.Length;
        }

        public override void Write(byte[] buffer, int offset, int count)
        {
            RandomAccess.Write(handle, buffer.AsSpan(offset, count), _position);
            _position += count;
        }

        public override void Flush() { }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }

    // No value: its dictionary is that of every class.
    private sealed record FileVersion(string Path, long Length, DateTime Written);
}
