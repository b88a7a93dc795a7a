"""C sources of modules that make types, from the lines that a test is about."""

from typing import Optional

_ADD = """
    if (!HPyHelpers_AddType(ctx, module, "{name}", &{name}_spec, {params})) {{
        return -1;
    }}"""


def add_types(*names: str, **params: Optional[str]) -> str:
    """A HPy_mod_exec slot that makes the type T from T_spec for each name.

    A keyword argument T=EXPRESSION does the same with an expression for the parameters.
    """
    added = [_ADD.format(name=name, params="NULL") for name in names]
    added += [_ADD.format(name=name, params=value) for name, value in params.items()]
    return (
        "\nHPyDef_SLOT(add_types, HPy_mod_exec)"
        "\nstatic int add_types_impl(HPyContext *ctx, HPy module)\n{"
        + "".join(added)
        + "\n    return 0;\n}\n"
    )


# A method make(spec_number, params_number) would hide what a test is about; this one makes the one
# type `spec` of the source, with `params`, when Python calls it, so that errors can be looked at.
MAKE = """
HPyDef_METH(make, "make", HPyFunc_NOARGS)
static HPy make_impl(HPyContext *ctx, HPy self)
{
    (void)self;
    return HPyType_FromSpec(ctx, &spec, NULL);
}
"""

MAKE_WITH_PARAMS = """
HPyDef_METH(make, "make", HPyFunc_VARARGS)
static HPy make_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPyType_SpecParam params[8] = {{ (HPyType_SpecParam_Kind)0, HPy_NULL }};
    size_t i;
    (void)self;
    for (i = 0; i + 1 < nargs; i += 2) {
        params[i / 2].kind = (HPyType_SpecParam_Kind)HPyLong_AsLong(ctx, args[i]);
        params[i / 2].object = args[i + 1];
    }
    return HPyType_FromSpec(ctx, &spec, params);
}
"""
# Kinds of parameters, for make().
BASE, BASES_TUPLE, METACLASS = 1, 2, 3
