/* Inside of the client: the link (one connection and its states) and the requests on it.
 *
 * There is no thread of its own. Whoever waits reads for everybody: the first waiting caller leads, polls the
 * socket and hands responses to the others; when it has its own it passes the lead on. A caller with an event
 * loop waits on the descriptor and calls fn_client_poll. One mutex guards everything; the socket never
 * blocks. */
#ifndef FN_DEVICE_CLIENT_PRIVATE_H
#define FN_DEVICE_CLIENT_PRIVATE_H

#include "device/client/client.h"
#include <pthread.h>
#include <sys/types.h>

enum link_state {
    LINK_DOWN,     /* no connection; the next attempt is at attempt_at_ms */
    LINK_HELLO,    /* HELLO sent */
    LINK_SESSIONS, /* sessions of the former connection are being opened again */
    LINK_UP
};

enum request_kind {
    REQUEST_ASYNC, /* its response goes to the queue of fn_client_poll */
    REQUEST_SYNC,  /* a caller waits for it */
    REQUEST_LINK,  /* HELLO and SESSION_OPEN of a connection being made, SESSION_CLOSE: nobody waits */
    REQUEST_GONE /* its caller gave up; kept until answered, so that a late answer is not taken for a stranger
                  */
};

struct request {
    struct request *next, *previous; /* all requests in the order of submission */
    struct request *chain;           /* in the table by id */
    enum request_kind kind;
    bool sent, done;
    unsigned sends;
    uint8_t *frame; /* whole request frame; the session number is set when it is sent */
    size_t frame_size;
    uint64_t epoch;   /* handles named in it belong to this connection */
    uint32_t session; /* the client's number of it, 0 for the connection's own */
    uint32_t opens;   /* SESSION_OPEN: the number of the session that it opens */
    uint64_t token;
    pthread_cond_t *wake;
    struct request *next_waiting;
    struct fn_client_response response;
};

/* A session of this client; the device's number of it changes with each connection. */
struct session {
    bool live;
    bool established; /* the device has opened it at least once: opened again on a new connection */
    uint32_t device;
    fn_err failure;
};

/* How often one request is sent before it is given up: a device that dies of a request must not be fed it for
 * ever. */
#define SENDS_MOST    8
#define TABLE_SIZE    1024u
#define RANDOM_POOL   128u
#define BACKOFF_FIRST 10
#define BACKOFF_MOST  500

struct fn_client {
    pthread_mutex_t lock;
    pid_t pid;
    char *path;
    uint32_t timeout_ms;

    enum link_state state;
    int socket, epoll, ready, wake, timer;
    bool wants_write, timer_armed, ready_set;
    int64_t attempt_at_ms, down_since_ms, up_since_ms, greet_by_ms;
    int backoff_ms;
    fn_err failure; /* why the link is down */
    char failure_detail[FN_ERR_DETAIL];
    uint64_t epoch;
    bool greeted; /* hello is valid */
    struct fn_client_hello hello;
    size_t link_open; /* sessions whose opening has not been answered */

    struct request *first, *last, *next_unsent, *table[TABLE_SIZE]; /* all before next_unsent are sent */
    size_t requests, outstanding;
    struct session *sessions;
    size_t sessions_room;
    struct request *done_first, *done_last; /* answered asynchronous ones */

    bool led;                /* somebody reads */
    struct request *waiting; /* synchronous callers and pollers asleep, through next_waiting */

    uint8_t *in;
    size_t in_size, in_room;
    uint8_t *out;
    size_t out_from, out_size, out_room;
    uint8_t random[RANDOM_POOL][FN_DEVICE_ID_SIZE];
    size_t random_left;
};

int64_t fn_link_now_ms(void);
/* The calls below are made with the lock held. */
/* Makes a request and puts it at the end of the list; nothing is sent yet. */
fn_err fn_link_request(struct fn_client *c, enum request_kind kind, uint32_t session, uint16_t operation,
                       uint16_t count, struct fn_bytes items, struct request **made);
/* Takes a request off the list and frees it with its frame and response. */
void fn_link_drop(struct fn_client *c, struct request *r);
/* Sends what may be sent. */
void fn_link_flush(struct fn_client *c);
/* Connects when it is time to; returns the milliseconds until the link wants attention again, -1 for never.
 */
int fn_link_tend(struct fn_client *c);
/* Reads for everybody for at most timeout_ms; gives the lock up while it waits. */
void fn_link_lead(struct fn_client *c, int timeout_ms);
/* Gives the connection up; requests stay and are repeated on the next. */
void fn_link_down(struct fn_client *c, fn_err failure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Passes the lead to a sleeping caller. */
void fn_link_pass(struct fn_client *c);
/* In a forked child: forgets the parent's connection and requests. */
void fn_link_forked(struct fn_client *c);
fn_err fn_link_descriptors(struct fn_client *c);
void fn_link_close_descriptors(struct fn_client *c);
void fn_link_ready(struct fn_client *c, bool on);

/* Whether the items name anything that died with the former connection: a session key, an agreement, a
 * calculation. */
fn_err fn_items_outlive(uint16_t operation, uint16_t count, struct fn_bytes items);

#endif
