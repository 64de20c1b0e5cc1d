using System.Reflection;
using System.Reflection.Emit;

namespace KeyBuzz.Reconciler.Tests;

/// <summary>The types that a compiled type refers to: in its declaration, its members' signatures, and the code of its methods.</summary>
internal static class TypeReferences
{
    private const BindingFlags Own =
        BindingFlags.Instance | BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<int, OpCode> s_opCodes = typeof(OpCodes)
        .GetFields()
        .Select(field => (OpCode)field.GetValue(null)!)
        .ToDictionary(code => code.Value & 0xffff);

    /// <summary>Every type that it refers to; of a generic one also its arguments, of an array its elements.</summary>
    public static HashSet<Type> Of(Type type)
    {
        var found = new HashSet<Type>();
        IEnumerable<MethodBase> methods = [.. type.GetMethods(Own), .. type.GetConstructors(Own)];
        IEnumerable<Type?> declared =
        [
            type.BaseType,
            .. type.GetInterfaces(),
            .. type.GetCustomAttributesData().Select(attribute => attribute.AttributeType),
            .. type.GetFields(Own).Select(field => field.FieldType),
            .. type.IsGenericTypeDefinition
                ? type.GetGenericArguments().SelectMany(argument => argument.GetGenericParameterConstraints())
                : [],
            .. methods.SelectMany(OfMethod),
        ];
        foreach (var one in declared)
        {
            Add(found, one);
        }

        return found;
    }

    private static IEnumerable<Type?> OfMethod(MethodBase method)
    {
        IEnumerable<Type?> signature =
        [
            (method as MethodInfo)?.ReturnType,
            .. method.GetParameters().Select(parameter => parameter.ParameterType),
            .. method.IsGenericMethodDefinition
                ? method.GetGenericArguments().SelectMany(argument => argument.GetGenericParameterConstraints())
                : [],
        ];
        return method.GetMethodBody() is not { } body
            ? signature
            :
            [
                .. signature,
                .. body.LocalVariables.Select(local => local.LocalType),
                .. body
                    .ExceptionHandlingClauses.Where(clause => clause.Flags == ExceptionHandlingClauseOptions.Clause)
                    .Select(clause => clause.CatchType),
                .. OfCode(method, body.GetILAsByteArray()!),
            ];
    }

    private static IEnumerable<Type?> OfCode(MethodBase method, byte[] code)
    {
        var typeArguments = method.DeclaringType is { IsGenericType: true } declaring ? declaring.GetGenericArguments() : null;
        var methodArguments = method.IsGenericMethod ? method.GetGenericArguments() : null;
        for (var at = 0; at < code.Length; )
        {
            var value = code[at] == 0xfe ? 0xfe00 | code[at + 1] : code[at];
            var opCode = s_opCodes[value];
            at += opCode.Size;
            if (
                opCode.OperandType is OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType
            )
            {
                foreach (var one in OfMember(method.Module.ResolveMember(BitConverter.ToInt32(code, at), typeArguments, methodArguments)))
                {
                    yield return one;
                }
            }

            at += opCode.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + (4 * BitConverter.ToInt32(code, at)),
                _ => 4,
            };
        }
    }

    private static IEnumerable<Type?> OfMember(MemberInfo? member) =>
        member switch
        {
            Type type => [type],
            FieldInfo field => [field.DeclaringType, field.FieldType],
            MethodBase method =>
            [
                method.DeclaringType,
                (method as MethodInfo)?.ReturnType,
                .. method.GetParameters().Select(parameter => parameter.ParameterType),
                .. method.IsGenericMethod ? method.GetGenericArguments() : [],
            ],
            _ => [],
        };

    private static void Add(HashSet<Type> found, Type? type)
    {
        if (type is null || type.IsGenericParameter || !found.Add(type))
        {
            return;
        }

        if (type.HasElementType)
        {
            Add(found, type.GetElementType());
        }

        foreach (var argument in type.IsGenericType ? type.GetGenericArguments() : [])
        {
            Add(found, argument);
        }

        if (type.IsGenericType && !type.IsGenericTypeDefinition)
        {
            Add(found, type.GetGenericTypeDefinition());
        }
    }
}
