"""Maximal cliques by looking at every set of nodes, and by the recursion that the ports of the article share."""

from __future__ import annotations

from itertools import chain, combinations

Edges = set[frozenset[int]]


def all_maximal_cliques(num_nodes: int, edges: Edges) -> set[frozenset[int]]:
    """Every set of neighbours of each other to which no node can be added."""
    sets = chain.from_iterable(combinations(range(num_nodes), size) for size in range(1, num_nodes + 1))
    cliques = {frozenset(some) for some in sets if all(frozenset(pair) in edges for pair in combinations(some, 2))}
    return {clique for clique in cliques if not any(clique < other for other in cliques)}


def published_recursion(nodes: frozenset[int], edges: Edges) -> set[frozenset[int]]:
    """Search among the neighbours of every node that is no neighbour of all; without one the nodes are a clique."""
    apart = {node for pair in combinations(nodes, 2) if frozenset(pair) not in edges for node in pair}
    if not apart:
        return {nodes} if nodes else set()
    found: set[frozenset[int]] = set()
    for node in apart:
        neighbours = frozenset(other for other in nodes if other == node or frozenset((node, other)) in edges)
        found |= published_recursion(neighbours, edges)
    return found
