"""The queries that a load asks and writes with; all names and numbers are parameters.

Each node is looked up by its key in a MATCH of its own before edges are asked for. Where several stand in one MATCH, or
MERGE has to look for itself, the planner of the database joins all with all, and a load becomes quadratic.
"""

KNOWN = "UNWIND $ids AS id MATCH (d:Document {id: id}) RETURN d.id, d.text_digest, d.content_digest, d.loaded_by"
NEW_DOCUMENTS = (
    "UNWIND $rows AS r CREATE (:Document "
    "{id: r.id, text_digest: r.text_digest, content_digest: r.content_digest, loaded_by: r.loaded_by})"
)
OLD_DOCUMENTS = (
    "UNWIND $rows AS r MATCH (d:Document {id: r.id}) "
    "SET d.text_digest = r.text_digest, d.content_digest = r.content_digest, d.loaded_by = r.loaded_by"
)

ENTITIES = "UNWIND $keys AS key MATCH (e:Entity {key: key}) RETURN e.key"
NEW_ENTITIES = "UNWIND $rows AS r CREATE (:Entity {key: r.key, name: r.name, folded: r.folded, type: r.type})"
DROP_ENTITIES = (
    "UNWIND $keys AS key MATCH (e:Entity {key: key}) "
    "WHERE NOT EXISTS { MATCH (e)<-[:SUBJECT|OBJECT]-(:Statement) } DETACH DELETE e"
)

STATED = "UNWIND $ids AS id MATCH (t:Statement {id: id}) RETURN t.id, t.score, t.subject_key, t.predicate, t.object_key"
STATED_BY = (
    "UNWIND $ids AS id MATCH (d:Document {id: id}) MATCH (d)<-[:STATED_IN]-(t:Statement) "
    "RETURN t.id, t.score, t.subject_key, t.predicate, t.object_key"
)
NEW_STATEMENTS = (
    "UNWIND $rows AS r "
    "MATCH (s:Entity {key: r.subject_key}) MATCH (o:Entity {key: r.object_key}) MATCH (d:Document {id: r.document}) "
    "CREATE (t:Statement {id: r.id, predicate: r.predicate, score: CAST(r.score AS DOUBLE), text: r.text, "
    "subject: r.subject, subject_start: r.subject_start, subject_end: r.subject_end, subject_key: r.subject_key, "
    "object: r.object, object_start: r.object_start, object_end: r.object_end, object_key: r.object_key}), "
    "(t)-[:SUBJECT]->(s), (t)-[:OBJECT]->(o), (t)-[:STATED_IN]->(d)"
)
DROP_STATEMENTS = "UNWIND $ids AS id MATCH (t:Statement {id: id}) DETACH DELETE t"

_ENDS = "UNWIND $rows AS r MATCH (s:Entity {key: r.subject}) MATCH (o:Entity {key: r.object}) "
_FACT = _ENDS + "MATCH (s)-[f:FACT]->(o) WHERE f.predicate = r.predicate "
FACTS = _FACT + "RETURN s.key, f.predicate, o.key, f.score, f.statement, f.statements"
NEW_FACTS = (
    _ENDS + "CREATE (s)-[:FACT {predicate: r.predicate, score: CAST(r.score AS DOUBLE), "
    "statements: r.statements, statement: r.statement}]->(o)"
)
OLD_FACTS = _FACT + "SET f.score = CAST(r.score AS DOUBLE), f.statements = r.statements, f.statement = r.statement"
DROP_FACTS = _FACT + "DELETE f"
REMAINING = (
    "UNWIND $rows AS r MATCH (s:Entity {key: r.subject}) MATCH (s)<-[:SUBJECT]-(t:Statement) "
    "WHERE t.object_key = r.object AND t.predicate = r.predicate "
    "RETURN t.subject_key, t.predicate, t.object_key, t.score, t.id"
)
