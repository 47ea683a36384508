/* What is heard while a target owes is remembered and becomes safe when none owes any more: by then the logs were read
 * to ends that lie beyond it. */
#include "gateway/position.h"
#include "common/base.h"

void position_add(struct positions *p, struct node_position *n)
{
    n->heard = n->safe = 0;
    list_push_back(&p->nodes, &n->of_positions);
}

void position_remove(struct node_position *n)
{
    list_remove(&n->of_positions);
}

void position_heard(struct node_position *n, uint64_t id)
{
    n->heard = MAX(n->heard, id);
    if (n->held == 0)
        n->safe = n->heard;
}

void position_hold(struct node_position *n)
{
    n->held++;
}

void position_let_go(struct node_position *n)
{
    assert(n->held > 0);
    if (--n->held == 0)
        n->safe = n->heard;
}

uint64_t position_safe(const struct positions *p)
{
    uint64_t safe = UINT64_MAX;
    LIST_EACH (it, &p->nodes) {
        const struct node_position *n = CONTAINER_OF(it, struct node_position, of_positions);
        safe = MIN(safe, n->safe);
    }
    return safe;
}

uint64_t position_of(const struct positions *p, uint64_t id)
{
    return MIN(id, position_safe(p));
}
