class MemoryStore:
    is_durable = is_shared = False
    def __init__(self): self.r = {}
    async def load(self, model, ids): return [self.r.get((model,i)) for i in ids]
    async def peek(self, model, i): return self.r.get((model,i))
    async def save(self, model, records):
        for r in records: self.r[model,r.session_id]=r
        return [0]*len(records)
    async def delete(self, model, i): return self.r.pop((model,i),None) is not None
    async def page(self, model, prefix, after, limit):
        from service.store.contract import Listed
        f=sorted(i for m,i in self.r if m==model and i.startswith(prefix) and i>after)[:limit]
        return [Listed(i,self.r[model,i].digest,self.r[model,i].position,self.r[model,i].last_time_us,0.0) for i in f], (f[-1] if len(f)==limit else "")
    async def close(self): pass
