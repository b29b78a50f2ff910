#include "sdf/sdf_private.h"

#include <stdlib.h>
#include <string.h>

struct place {
    uint32_t generation;
    struct object *object;
    uint32_t next_free; /* slot + 1 */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct place *places;
static uint32_t places_room, first_free;
static struct shared_client *clients;

/* A fork while another thread holds the lock must not leave the child with a locked table. */
static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}
static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}
static void once_only(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

#define KIND_BITS 4
#define SLOT_BITS 24

static void *make_handle(uint32_t generation, uint32_t slot, enum object_kind kind)
{
    return (void *)(((uintptr_t)generation << SLOT_BITS | slot) << KIND_BITS | (uintptr_t)kind);
}

static bool grow_places(void)
{
    uint32_t room = places_room ? places_room * 2 : 64;
    if (room > 1u << SLOT_BITS) return false;
    struct place *grown = realloc(places, room * sizeof *grown);
    if (!grown) return false;
    places = grown;
    for (uint32_t i = places_room; i < room; i++)
        places[i] = (struct place){1, NULL, i + 1 < room ? i + 2 : 0};
    first_free = places_room + 1;
    places_room = room;
    return true;
}

void *sdf_object_new(enum object_kind kind, size_t size, struct object *owner)
{
    struct object *o = calloc(1, size);
    if (!o) return NULL;
    pthread_mutex_lock(&lock);
    if (!first_free && !grow_places()) {
        pthread_mutex_unlock(&lock);
        free(o);
        return NULL;
    }
    uint32_t slot = first_free - 1;
    struct place *p = &places[slot];
    first_free = p->next_free;
    p->object = o;
    o->kind = kind;
    o->references = 2; /* the table's and the maker's, who has yet to fill it in */
    o->slot = slot;
    o->handle = make_handle(p->generation, slot, kind);
    if (owner) {
        owner->references++;
        o->owner = owner;
        o->next = owner->children;
        if (o->next) o->next->previous = o;
        owner->children = o;
    }
    pthread_mutex_unlock(&lock);
    return o;
}

void *sdf_object_get(void *handle, enum object_kind kind)
{
    uint32_t slot = (uint32_t)((uintptr_t)handle >> KIND_BITS) & ((1u << SLOT_BITS) - 1);
    struct object *o = NULL;
    pthread_mutex_lock(&lock);
    if (slot < places_room) o = places[slot].object;
    if (o && (o->handle != handle || o->kind != kind)) o = NULL;
    if (o) o->references++;
    pthread_mutex_unlock(&lock);
    return o;
}

/* What an object holds beside memory. Runs without the lock: closing talks to the device. */
static void end(struct object *o)
{
    switch (o->kind) {
    case OBJECT_DEVICE: {
        struct sdf_device *d = (struct sdf_device *)o;
        if (d->client) sdf_client_release(d->client);
        break;
    }
    case OBJECT_SESSION: {
        struct sdf_session *s = (struct sdf_session *)o;
        if (s->number) fn_client_session_close(s->client, s->number);
        fn_wipe(&s->hash, sizeof s->hash);
        pthread_mutex_destroy(&s->lock);
        break;
    }
    case OBJECT_KEY: {
        struct sdf_key *k = (struct sdf_key *)o;
        if (k->ref) fn_wipe(k->ref, k->ref_size);
        free(k->ref);
        break;
    }
    case OBJECT_AGREEMENT:
        break;
    case OBJECT_VECTOR:
        sdf_vector_end(o);
        break;
    }
    free(o);
}

void sdf_object_release(struct object *o)
{
    while (o) {
        pthread_mutex_lock(&lock);
        bool last = --o->references == 0;
        pthread_mutex_unlock(&lock);
        if (!last) return;
        struct object *owner = o->owner;
        end(o);
        o = owner;
    }
}

/* Out of the table and of its owner's list; with the lock held. */
static void unlist(struct object *o)
{
    struct place *p = &places[o->slot];
    p->object = NULL;
    p->generation++;
    p->next_free = first_free;
    first_free = o->slot + 1;
    if (o->owner) {
        *(o->previous ? &o->previous->next : &o->owner->children) = o->next;
        if (o->next) o->next->previous = o->previous;
    }
    o->next = o->previous = NULL;
}

bool sdf_object_close(void *handle, enum object_kind kind)
{
    struct object *o = sdf_object_get(handle, kind), *gone = NULL;
    if (!o) return false;
    pthread_mutex_lock(&lock);
    bool live = places[o->slot].object == o;
    /* Depth first: children of children before their owners. */
    while (live && places[o->slot].object == o) {
        struct object *deepest = o;
        while (deepest->children) deepest = deepest->children;
        unlist(deepest);
        deepest->next = gone;
        gone = deepest;
    }
    pthread_mutex_unlock(&lock);
    while (gone) {
        struct object *next = gone->next;
        gone->next = NULL;
        sdf_object_release(gone);
        gone = next;
    }
    sdf_object_release(o);
    return live;
}

struct shared_client *sdf_client_get(const char *path, bool shared, fn_err *failed)
{
    pthread_once(&once, once_only);
    const char *name = path && *path ? path : getenv("FENGNI_DEVICE_SOCKET");
    if (!name) name = "";
    struct shared_client *c;
    pthread_mutex_lock(&lock);
    for (c = clients; c && !(shared && c->shared && strcmp(c->path, name) == 0); c = c->next) continue;
    if (c) c->users++;
    pthread_mutex_unlock(&lock);
    if (c) return c;

    struct fn_client_options options = {.socket = name, .timeout_ms = 0};
    struct fn_client *client;
    *failed = fn_client_open(&client, &options);
    if (*failed != FN_OK) return NULL;
    c = calloc(1, sizeof *c);
    char *copy = strdup(name);
    if (!c || !copy) {
        fn_client_close(client);
        free(c);
        free(copy);
        *failed = FN_E_NO_MEMORY;
        return NULL;
    }
    *c = (struct shared_client){.client = client, .path = copy, .users = 1, .shared = shared};
    pthread_mutex_lock(&lock);
    /* Two threads may open at once: the second one's connection then lives until its own handles are closed.
     */
    c->next = clients;
    clients = c;
    pthread_mutex_unlock(&lock);
    return c;
}

void sdf_client_release(struct shared_client *c)
{
    pthread_mutex_lock(&lock);
    bool last = --c->users == 0;
    if (last) {
        struct shared_client **place = &clients;
        while (*place != c) place = &(*place)->next;
        *place = c->next;
    }
    pthread_mutex_unlock(&lock);
    if (!last) return;
    fn_client_close(c->client);
    free(c->path);
    free(c);
}
