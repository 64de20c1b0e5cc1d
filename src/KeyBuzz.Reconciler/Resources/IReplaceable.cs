namespace KeyBuzz.Reconciler.Resources;

/// <summary>A type whose resources can be taken down and made anew at any time, and are the same afterwards: on request they are
/// replaced although nothing differs. One that holds data is not.</summary>
public interface IReplaceable { }
