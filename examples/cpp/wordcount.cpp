/* Counter: a C++ map in a Python object. How often was each word added, and which most often?
 *
 *     counter = wordcount.Counter("to be or not to be")
 *     counter.most_common(2)       # [('be', 2), ('to', 2)]
 *     counter["or"]                # 1 */
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "handle.h"

namespace
{

typedef std::map<std::string, long> Counts;

/* HPy_New gives memory that is all zero, which is no map yet: Counter_new makes one, and
 * Counter_destroy ends its life. Between the two there is always a map. */
struct Counter {
    Counts *counts;
};

HPyType_HELPERS(Counter)

Counts &counts_of(HPyContext *ctx, HPy self)
{
    return *Counter_AsStruct(ctx, self)->counts;
}

void add_words(Counts &counts, const std::string &text)
{
    static const char spaces[] = " \t\r\n\f\v";
    for (std::size_t end = 0;;) {
        const std::size_t begin = text.find_first_not_of(spaces, end);
        if (begin == std::string::npos)
            return;
        end = std::min(text.find_first_of(spaces, begin), text.size());
        counts[text.substr(begin, end - begin)] += 1;
    }
}

HPyDef_SLOT(Counter_destroy, HPy_tp_destroy)
void Counter_destroy_impl(void *self)
{
    delete static_cast<Counter *>(self)->counts;
}

HPyDef_SLOT(Counter_new, HPy_tp_new)
HPy Counter_new_impl(HPyContext *ctx, HPy type, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    return guarded(ctx, [&] {
        static const char *keywords[] = {"text", nullptr};
        HPyTracker tracker;
        HPy text = HPy_NULL;
        if (!HPyArg_ParseKeywordsDict(ctx, &tracker, args, nargs, kw, "|O:Counter", keywords,
                                      &text))
            throw PythonError();
        /* Closes the tracker on every way out of here. */
        struct Closing {
            HPyContext *ctx;
            HPyTracker tracker;
            ~Closing()
            {
                HPyTracker_Close(ctx, tracker);
            }
        } closing = {ctx, tracker};

        Counter *counter;
        Handle self(ctx, HPy_New(ctx, type, &counter));
        counter->counts = new Counts;
        if (!HPy_IsNull(text))
            add_words(*counter->counts, to_string(ctx, text));
        return self;
    });
}

HPyDef_METH(Counter_add, "add", HPyFunc_O)
HPy Counter_add_impl(HPyContext *ctx, HPy self, HPy text)
{
    return guarded(ctx, [&] {
        add_words(counts_of(ctx, self), to_string(ctx, text));
        return Handle::dup(ctx, ctx->h_None);
    });
}

/* Adds each str of an iterable. One that is none ends it with a TypeError, and what was open here
 * is closed by the way out. */
HPyDef_METH(Counter_update, "update", HPyFunc_O)
HPy Counter_update_impl(HPyContext *ctx, HPy self, HPy iterable)
{
    return guarded(ctx, [&] {
        Handle iterator(ctx, HPy_GetIter(ctx, iterable));
        for (;;) {
            HPy next = HPyIter_Next(ctx, iterator.get());
            if (HPy_IsNull(next) && !HPyErr_Occurred(ctx))
                return Handle::dup(ctx, ctx->h_None);
            Handle item(ctx, next);
            add_words(counts_of(ctx, self), to_string(ctx, item.get()));
        }
    });
}

HPyDef_METH(Counter_most_common, "most_common", HPyFunc_O)
HPy Counter_most_common_impl(HPyContext *ctx, HPy self, HPy number)
{
    return guarded(ctx, [&] {
        const long wanted = HPyLong_AsLong(ctx, number);
        if (wanted == -1 && HPyErr_Occurred(ctx))
            throw PythonError();
        if (wanted < 0)
            throw std::invalid_argument("the number of words must not be negative");

        const Counts &counts = counts_of(ctx, self);
        std::vector<std::pair<std::string, long>> sorted(counts.begin(), counts.end());
        /* Words that are as frequent stay in the order of the map. */
        std::stable_sort(sorted.begin(), sorted.end(),
                         [](const std::pair<std::string, long> &a,
                            const std::pair<std::string, long> &b) { return a.second > b.second; });
        if (sorted.size() > static_cast<std::size_t>(wanted))
            sorted.resize(static_cast<std::size_t>(wanted));

        Handle list(ctx, HPyList_New(ctx, 0));
        for (const auto &entry : sorted) {
            Handle word(ctx, HPyUnicode_FromString(ctx, entry.first.c_str()));
            Handle pair(ctx, HPy_BuildValue(ctx, "Ol", word.get(), entry.second));
            checked(HPyList_Append(ctx, list.get(), pair.get()));
        }
        return list;
    });
}

HPyDef_SLOT(Counter_length, HPy_mp_length)
HPy_ssize_t Counter_length_impl(HPyContext *ctx, HPy self)
{
    return static_cast<HPy_ssize_t>(counts_of(ctx, self).size());
}

HPyDef_SLOT(Counter_getitem, HPy_mp_subscript)
HPy Counter_getitem_impl(HPyContext *ctx, HPy self, HPy word)
{
    return guarded(ctx, [&] {
        /* std::map::at throws std::out_of_range, which becomes an IndexError. */
        return Handle(ctx, HPyLong_FromLong(ctx, counts_of(ctx, self).at(to_string(ctx, word))));
    });
}

HPyDef_SLOT(Counter_contains, HPy_sq_contains)
int Counter_contains_impl(HPyContext *ctx, HPy self, HPy word)
{
    return guarded_status(
        ctx, [&] { return static_cast<int>(counts_of(ctx, self).count(to_string(ctx, word))); });
}

HPyDef *Counter_defines[] = {&Counter_destroy,     &Counter_new,      &Counter_add,
                             &Counter_update,      &Counter_length,   &Counter_getitem,
                             &Counter_most_common, &Counter_contains, nullptr};

HPyType_Spec make_spec()
{
    HPyType_Spec spec = HPyType_Spec();
    spec.name = "wordcount.Counter";
    spec.basicsize = sizeof(Counter);
    spec.flags = HPy_TPFLAGS_DEFAULT;
    spec.builtin_shape = SHAPE(Counter);
    spec.defines = Counter_defines;
    spec.doc = "Counter(text='')\n--\n\nHow often each word was added.";
    return spec;
}

HPyDef_SLOT(module_exec, HPy_mod_exec)
int module_exec_impl(HPyContext *ctx, HPy module)
{
    static HPyType_Spec spec = make_spec();
    return HPyHelpers_AddType(ctx, module, "Counter", &spec, nullptr) ? 0 : -1;
}

HPyDef *module_defines[] = {&module_exec, nullptr};

/* The members in their order: name, doc, size, legacy methods, definitions, globals. */
HPyModuleDef module_definition = {nullptr, "Counts words.", 0, nullptr, module_defines, nullptr};

}  // namespace

HPy_MODINIT(wordcount, module_definition)
