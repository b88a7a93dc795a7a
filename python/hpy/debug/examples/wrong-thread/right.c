/* Not wrong-thread: the thread of the extension has values of C only. */
#include "hpy.h"
#include <pthread.h>

typedef struct {
    long number;
    long result;
} Job;

static void *work(void *data)
{
    Job *job = (Job *)data;
    job->result = 2 * job->number;
    return NULL;
}

HPyDef_METH(twice, "twice", HPyFunc_O)
static HPy twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    Job job = {HPyLong_AsLong(ctx, arg), 0};
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, &job) == 0)
        pthread_join(thread, NULL);
    return HPyLong_FromLong(ctx, job.result);
}

static HPyDef *defines[] = {&twice, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
