-- Finds a user's live intents, for resource servers that ask by the user's name. What they permit is read from evidence.
create index intents_live on intents (realm, coalesce(username, sub), submitted_at) where state = 'active';
