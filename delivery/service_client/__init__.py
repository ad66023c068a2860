"""Our own client of our own service: what happens there is pushed to it, and nothing comes in unchecked.

with ServiceClient("http://127.0.0.1:5000") as client:
    request_id = client.submit(Submission(selection, files=("/data/events.root",)))
    for update in client.watch(request_id):
        ...
"""
